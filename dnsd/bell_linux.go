package dnsd

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bell is something that Go's scheduler waits for as for packets, and that is there as
// soon as it looks.
type bell struct {
	file *os.File // nil: there is none
	conn syscall.RawConn
	rung bool
	ring func(fd uintptr) bool
}

// open makes the bell. Without one wait does what there is to do without.
func (b *bell) open() {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return
	}
	b.file = os.NewFile(uintptr(fd), "bell")
	b.ring = b.once
	b.conn, _ = b.file.SyscallConn() // it is open
}

// once rings the bell the first time, and is done the second time.
func (b *bell) once(fd uintptr) bool {
	if b.rung {
		return true
	}
	one := uint64(1) // it may be added very often before there is no room
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
	b.rung = true
	return errno != 0
}

// wait returns when the scheduler has looked at the network.
func (b *bell) wait() {
	b.rung = false
	if b.file == nil || b.conn.Read(b.ring) != nil { // closed, perhaps
		runtime.Gosched()
	}
}

// close may be called while somebody waits.
func (b *bell) close() {
	if b.file != nil {
		_ = b.file.Close() // there is nothing in it to lose
	}
}
