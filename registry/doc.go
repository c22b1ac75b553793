// Package registry keeps the roll of services and their instances, and the
// rules by which it changes.
//
// A [Snapshot] is the whole roll at one revision: immutable, shared by every
// reader, replaced and never edited. A [Registry] applies the rules: it reads
// the snapshot, decides which records change, and hands one conditional [Write]
// to a [Store]; the store answers with a later snapshot. Nothing here opens a
// file, a socket or a logger.
package registry
