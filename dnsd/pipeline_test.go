package dnsd_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// pipeline keeps several queries under way on one connection until done is closed,
// and then takes the answers that are left. It counts them in answered.
func pipeline(conn stream, done <-chan struct{}, answered *atomic.Int64) error {
	const depth = 8
	asked := map[uint16]bool{}
	for closing := false; !closing || len(asked) > 0; {
		select {
		case <-done:
			closing = true
		default:
		}
		for !closing && len(asked) < depth {
			m := question("a.", dns.TypeA)
			if asked[m.Id] {
				continue
			}
			if err := conn.WriteMsg(m); err != nil {
				return err
			}
			asked[m.Id] = true
		}
		r, err := conn.ReadMsg()
		if err != nil {
			return err
		}
		if !asked[r.Id] {
			conn.tb.Errorf("answer %d to no query", r.Id)
		}
		delete(asked, r.Id)
		answered.Add(1)
	}
	return nil
}

func TestReloadLosesNoPipelinedQuery(t *testing.T) {
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n whoami\n}", dnsd.Config{})
	done := make(chan struct{})
	var clients sync.WaitGroup
	var answered atomic.Int64
	for range 3 {
		conn := connect(t, "", addr)
		clients.Go(func() {
			if err := pipeline(conn, done, &answered); err != nil {
				t.Errorf("query after %d answers lost: %v", answered.Load(), err)
			}
		})
	}
	for n := range 20 {
		if err := s.Reload(generation(addr, n+1)); err != nil {
			t.Errorf("Reload() = %v", err)
		}
		before := answered.Load()
		eventually(t, "answers of the new generation", func() bool { return answered.Load() > before+30 })
	}
	close(done)
	clients.Wait()
	t.Logf("%d queries on 3 connections during 20 reloads", answered.Load())
}

func TestReloadMovesAConnectionToTheNextGeneration(t *testing.T) {
	s, addr, h := held(t, "", dnsd.Config{})
	conn := connect(t, "", addr)
	old := conn.ask("held.")
	<-h.arrived
	reloaded := make(chan error, 1)
	go func() { reloaded <- s.Reload(generation(addr, 9)) }()
	// The same connection gets new answers while the old one is under way.
	eventually(t, "new generation", func() bool {
		m := question("a.", dns.TypeA)
		if err := conn.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		r, err := conn.ReadMsg()
		if err != nil || r.Id != m.Id {
			t.Fatalf("answer = %v, %v, want that to the last query", r, err)
		}
		return len(r.Answer) == 1
	})
	close(h.release)
	r, err := conn.ReadMsg()
	if err != nil || r.Id != old || len(r.Answer) != 1 || r.Answer[0].Header().Rrtype != dns.TypeTXT {
		t.Errorf("answer of the old generation = %v, %v", r, err)
	}
	if err := <-reloaded; err != nil {
		t.Errorf("Reload() = %v", err)
	}
}

func TestReloadLeavesBehindWhatTakesTooLong(t *testing.T) {
	leavesNothing(t)
	s, addr, h := held(t, "", dnsd.Config{Drain: 50 * time.Millisecond})
	conn := connect(t, "", addr)
	id := conn.ask("held.")
	<-h.arrived
	if err := s.Reload(generation(addr, 9)); err != nil {
		t.Errorf("Reload() = %v", err)
	}
	conn.ask("a.")
	conn.answers(1)
	close(h.release)
	if got := conn.answers(1); got[0] != id {
		t.Errorf("late answer = %v, want %d", got, id)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	conn.ends()
	conn.Close()
}

func TestReloadDropsConnectionsWithTheirAddress(t *testing.T) {
	s, addr, h := held(t, " bind 127.0.0.2\n", dnsd.Config{})
	idle, asking := connect(t, "", addr), connect(t, "", addr)
	id := asking.ask("held.")
	<-h.arrived
	reloaded := make(chan error, 1)
	go func() { reloaded <- s.Reload(generation("127.0.0.2"+addr[len("127.0.0.1"):], 1)) }()
	idle.ends()
	close(h.release)
	if got := asking.answers(1); got[0] != id {
		t.Errorf("answer = %v, want %d", got, id)
	}
	asking.ends()
	if err := <-reloaded; err != nil {
		t.Errorf("Reload() = %v", err)
	}
}
