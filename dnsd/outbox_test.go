package dnsd_test

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// connectSmall is connect with little room for what the client has not read.
func connectSmall(tb testing.TB, from, addr string) stream {
	tb.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		set := func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }
		failed := c.Control(set)
		return errors.Join(failed, err)
	}}
	conn, err := d.DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatalf("dial %s = %v", addr, err)
	}
	tb.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		tb.Fatal(err)
	}
	return stream{&dns.Conn{Conn: conn}, tb}
}

// pipelined is the same query n times.
func pipelined(tb testing.TB, name string, n int) []byte {
	tb.Helper()
	wire, err := question(name, dns.TypeTXT).Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return slices.Repeat(append([]byte{0, byte(len(wire))}, wire...), n)
}

// heap is what is live.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestTCPAnswersThatNobodyReadsAreBounded(t *testing.T) {
	const clients, queries, bound = 20, 100, 8 << 20
	const room = 8 << 20              // for all else
	const working = 256 * (900 << 10) // what those hold that are worked on, records and message
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n timeouts {\n write 1m\n idle 2m\n }\n muster\n}",
		dnsd.Config{MaxUnsent: bound, Drain: 50 * time.Millisecond, Storage: map[any]any{textKey{}: "text"}})
	honest := connect(t, "", addr)
	honest.ask("a.")
	honest.answers(1)
	before := heap()

	for range clients {
		greedy := connectSmall(t, "127.0.0.2", addr)
		greedy.octets(pipelined(t, "large.", queries)...)
	}
	most, last, answered := 0, 0, 0
	eventually(t, "memory for the answers that may wait alone", func() bool {
		last = heap() - before
		most = max(most, last)
		honest.ask("a.")
		honest.answers(1)
		answered++
		return dropped(t, addr, "tcp") > 0 && last < bound+room
	})
	t.Logf("most memory = %d KiB, last %d KiB, with %d connections cut off and %d honest queries answered",
		most>>10, last>>10, int(dropped(t, addr, "tcp")), answered)
	if most > bound+room+working {
		t.Errorf("memory of answers = %d MiB, want less than %d", most>>20, (bound+room+working)>>20)
	}

	// Those that read get all they ask for, however slowly, while the others wait.
	var readers sync.WaitGroup
	// Each is a client of its own: the share of one is what a single connection may be
	// working on, and two of them could be cut off rightly.
	for client, pause := range map[string]time.Duration{"127.0.0.3": 0, "127.0.0.4": 10 * time.Millisecond} {
		c := connectSmall(t, client, addr)
		readers.Go(func() {
			c.octets(pipelined(t, "large.", 2)...)
			for n := range 40 {
				if n < 38 {
					c.octets(pipelined(t, "large.", 1)...)
				}
				<-time.After(pause)
				if r, err := c.ReadMsg(); err != nil || len(r.Answer) != 3500 {
					t.Errorf("answer %d to a client that reads every %v = %v", n, pause, err)
					return
				}
			}
		})
	}
	readers.Wait()
}

func TestTCPOneClientLeavesRoomToOthers(t *testing.T) {
	const share, pipelined, connections = 256, 32, 9
	_, addr, h := held(t, "", dnsd.Config{})
	var greedy []stream
	for range connections {
		c := connect(t, "127.0.0.2", addr)
		greedy = append(greedy, c)
		for range pipelined {
			c.ask("held.")
		}
	}
	for range share {
		<-h.arrived
	}
	select {
	case <-h.arrived:
		t.Errorf("more than %d queries of one client under way", share)
	case <-time.After(50 * time.Millisecond):
	}
	other := connect(t, "127.0.0.3", addr)
	other.ask("a.")
	other.answers(1)
	go func() {
		for range pipelined*connections - share {
			<-h.arrived
		}
	}()
	close(h.release)
	for _, c := range greedy {
		c.answers(pipelined)
	}
}
