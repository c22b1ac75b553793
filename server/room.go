package server

import "syscall"

// room is how many connections are taken, and how many of them calls may hold that
// wait for news. Were there as many seats as connections, those who wait would keep
// beats out, and every instance would fall silent.
type room struct {
	connections int // more wait to be accepted
	polls       int // long polls of Nacos
	watches     int // calls of our own API that wait for documents
	streams     int // event streams
	calls       int // connections of gRPC
}

// maxConnections is as many as 65,536 files leave room for: 50,000 agents, of which each
// keeps one to beat over, and others. They take 1.3 GiB, at 24 KiB for one that waits.
const maxConnections = 57344

// roomOf divides what a process has that may have so many files open: the rest is for
// other calls, one file in eight for what is no connection.
func roomOf(files uint64) room {
	n := int(min(files-files/8, maxConnections))
	return room{connections: n, polls: n * 5 / 8, watches: n / 8, streams: n / 12, calls: n * 7 / 8}
}

// openFiles returns how many files this process may have open. The runtime has raised
// that to what the system permits.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1024 // what systems permit at least, as a rule
	}
	return limit.Cur
}
