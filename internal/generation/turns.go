package generation

import (
	"syscall"
	"time"

	"github.com/musterhq/muster/internal/atomicfile"
)

// How long another process that switches or cleans up beside the same link is
// waited for, and how often it is looked whether it is done.
const (
	patience = 2 * time.Second
	glance   = 5 * time.Millisecond
)

// turn waits until no other process switches or cleans up in root: else one could
// remove the generation that the other's link is about to lead to. It is the lock
// of the directory itself, so that no file stays. Anybody who may read the
// directory can hold that, so that nobody is waited for for long.
func turn(root *atomicfile.Dir) (release func(), err error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(glance) {
		if syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			break
		}
	}
	return func() { d.Close() }, nil
}
