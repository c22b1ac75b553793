// Package audit keeps who changed what, in files that show when they were
// tampered with.
//
// Every record is a line of JSON that ends in the SHA-256 of its exact bytes before
// that, and holds the one of the record before it: who changes, removes or swaps one
// breaks the chain there, and Verify says where. Who can write the files can also
// write a whole new chain. Against that, and against a tail that is cut off, helps
// only what is kept elsewhere: the head that a server publishes, or the records that
// it sends to a syslog or a webhook.
//
// A record has been handed to the system before the call it tells of is answered, so
// that no answered call is missing when the process is killed. The disk is flushed
// once a second and not for each record: a machine that loses its power may lose the
// records of the last second. With a flush for each, every change would wait for the
// disk twice.
package audit
