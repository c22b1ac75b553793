package freeport

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Keep returns a port as [Find] does, for a server that is down at times: until this
// process ends, nobody else on this machine gets it, or the one 1000 above it, from Find
// or Keep of any process of this user.
func Keep(host string) (uint16, error) {
	return find(host, func() int {
		return lowestKept + 2000*rand.IntN((highest-lowestKept)/2000+1) + rand.IntN(1000)
	}, keep)
}

// locks is a file of which each byte stands for a port: who keeps one has it locked. The
// system unlocks what a process leaves behind.
var locks = sync.OnceValues(func() (*os.File, error) {
	return os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("muster-ports-%d", os.Getuid())), os.O_RDWR|os.O_CREATE, 0o600)
})

func keep(port int) error {
	f, err := locks()
	if err != nil {
		return err
	}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Start: int64(port), Len: 1}); err != nil {
		return fmt.Errorf("port %d is kept: %w", port, err)
	}
	return nil
}
