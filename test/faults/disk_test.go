package faults_test

import (
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/test/faults/check"
	"github.com/musterhq/muster/test/faults/cluster"
	"github.com/musterhq/muster/test/faults/history"
)

// Sizes of the small disk.
const (
	diskRoom  = 320 << 20 // etcd alone sets 64 MiB aside for its log, twice
	diskFloor = "64MiB"
	floor     = 64 << 20
)

// diskFull lets the disk of a server with an embedded etcd run full: first below
// the floor, where writes are to be refused, then to its very end, where etcd
// dies. DNS answers throughout, and everything goes on once there is space.
func diskFull(t *testing.T) {
	s := open(t, cluster.Config{Servers: 1, Room: diskRoom, Args: []string{"--min-free", diskFloor}}, scale())
	server := s.cluster.Servers[0]
	s.pass(2 * time.Second)
	s.fault(func() error { return server.Fill(floor / 2) }, "half of the floor is left free")
	s.pass(5 * time.Second)
	from := s.recorder.Now()
	s.pass(5 * time.Second)
	refused := 0
	for _, w := range s.recorder.History().Writes {
		if w.Begin < from {
			continue
		}
		if w.Outcome == history.Done && w.Present {
			s.Errorf("a registration was taken with less space than the floor: %+v", w)
		}
		refused++
	}
	if refused == 0 {
		s.Error("no write was tried below the floor")
	}
	s.fault(func() error { return server.Fill(0) }, "nothing is left free")
	s.pass(15 * time.Second)
	if !server.Running() {
		s.Errorf("the server ended when its disk was full:\n%s", server.Log(20))
	}
	s.heal(server.Free, "there is space again")
	s.pass(10 * time.Second)
	s.writable(20 * time.Second)
	s.settle()
	s.verify(check.Limits{Lookups: true})
}

// diskFullWithoutFloor lets the disk run full with nothing that keeps writes
// away, so that etcd meets its end.
func diskFullWithoutFloor(t *testing.T) {
	s := open(t, cluster.Config{Servers: 1, Room: diskRoom, Args: []string{"--min-free", "0"}}, scale())
	server := s.cluster.Servers[0]
	s.pass(2 * time.Second)
	store := server.Children()
	s.fault(func() error { return server.Fill(0) }, "nothing is left free")
	// Small writes reach the end of what etcd has set aside only after a while.
	died := false
	for deadline := time.Now().Add(60 * time.Second); !died && time.Now().Before(deadline); s.pass(100 * time.Millisecond) {
		died = !slices.Equal(server.Children(), store)
	}
	if !died {
		s.Error("the etcd survived: nothing was tested")
	}
	s.pass(10 * time.Second)
	if !server.Running() {
		s.Errorf("the server ended when its disk was full:\n%s", server.Log(20))
	}
	s.heal(server.Free, "there is space again")
	s.writable(40 * time.Second)
	s.settle()
	s.verify(check.Limits{Lookups: true})
}

// writable waits until a write is taken again.
func (s *scene) writable(patience time.Duration) {
	s.Helper()
	from := s.recorder.Now()
	for s.recorder.Now() < from+patience {
		for _, w := range s.recorder.History().Writes {
			if w.Begin > from && w.Outcome == history.Done {
				return
			}
		}
		s.pass(200 * time.Millisecond)
	}
	s.Errorf("no write is taken %v after the repair", patience)
}

// storeKilled kills the process of the embedded etcd alone.
func storeKilled(t *testing.T) {
	s := open(t, cluster.Config{Servers: 1}, scale())
	server := s.cluster.Servers[0]
	for range 3 {
		s.pass(time.Second + time.Duration(s.random.Int64N(int64(2*time.Second))))
		s.fault(func() error {
			n, err := server.KillStore()
			if n == 0 {
				s.Error("the server has no process of etcd")
			}
			return err
		}, "kill -9 of the embedded etcd")
		s.pass(3 * time.Second)
		s.heal(func() error { return nil }, "nothing: the server starts it again")
		s.writable(20 * time.Second)
	}
	s.settle()
	s.verify(check.Limits{Lookups: true})
}
