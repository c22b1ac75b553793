package dnsd_test

import (
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// processors has Go use several, as far as it knows.
func processors(tb testing.TB, n int) {
	tb.Helper()
	before := runtime.GOMAXPROCS(n)
	tb.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// perSocket has a hot path for each socket, which counts.
type perSocket struct {
	echo

	mu  sync.Mutex
	all []*counting
}

type counting struct {
	echo

	answers, sent atomic.Int64
}

func (p *perSocket) HotPath(string) (dnsd.HotPath, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &counting{}
	p.all = append(p.all, c)
	return c, ""
}

func (c *counting) Answer(buf, query []byte, from netip.AddrPort) (int, bool) {
	c.answers.Add(1)
	return c.echo.Answer(buf, query, from)
}

func (c *counting) Sent(n int, _ time.Duration) { c.sent.Add(int64(n)) }

func TestSocketsShareTheLoad(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there is one
	}
	const sockets, clients = 4, 400
	processors(t, sockets)
	for name, bind := range map[string]string{"address": " bind 127.0.0.1\n", "wildcard": ""} {
		t.Run(name, func(t *testing.T) {
			hot := &perSocket{}
			_, addr := open(t, ".:PORT {\n"+bind+" muster\n}", dnsd.Config{Storage: map[any]any{hotKey{}: hot}})
			for range clients {
				exchange(t, "udp", addr, question("a.", dns.TypeA))
			}
			if len(hot.all) != sockets {
				t.Fatalf("%d hot paths, want %d", len(hot.all), sockets)
			}
			eventually(t, "all are known to be sent", func() bool {
				sent := int64(0)
				for _, c := range hot.all {
					sent += c.sent.Load()
				}
				return sent == clients
			})
			for i, c := range hot.all {
				if n := c.answers.Load(); n < clients/sockets/3 {
					t.Errorf("socket %d has answered %d of %d", i, n, clients)
				}
			}
		})
	}
}

// Answers cost no memory, wherever they come from.
func TestHotAnswersMakeNoGarbage(t *testing.T) {
	for name, bind := range map[string]string{"address": " bind 127.0.0.1\n", "wildcard": ""} {
		t.Run(name, func(t *testing.T) {
			_, addr := open(t, "a:PORT {\n"+bind+" prometheus 127.0.0.1:0\n muster\n}", dnsd.Config{Storage: map[any]any{hotKey{}: echo{}}})
			conn, err := dial(t, "udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			query, err := question("b.a.", dns.TypeA).SetEdns0(1232, true).Pack()
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 1500)
			ask := func() {
				for range 4 {
					if _, err := conn.Write(query); err != nil {
						t.Fatal(err)
					}
				}
				for range 4 {
					if _, err := conn.Read(buf); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			// Others in this process allocate now and then.
			if n := testing.AllocsPerRun(1000, ask); n > 0 && runtime.GOOS == "linux" {
				t.Errorf("%v allocations for 4 answers", n)
			}
		})
	}
}

// pour sends the query again and again from several clients, without a look at what
// comes back, until stopped.
func pour(t *testing.T, addr string, query []byte) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var senders sync.WaitGroup
	for range 4 {
		conn, err := dial(t, "udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		senders.Go(func() {
			defer conn.Close()
			for {
				select {
				case <-done:
					return
				default:
					_, _ = conn.Write(query) // refused when the server is gone
				}
			}
		})
	}
	return func() { close(done); senders.Wait() }
}

func TestCloseInAFlood(t *testing.T) {
	processors(t, 4)
	query, err := question("a.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for name, storage := range map[string]map[any]any{"hot": {hotKey{}: echo{}}, "cold": {textKey{}: "text"}} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: storage, Drain: time.Minute})
				stop := pour(t, addr, query)
				eventually(t, "answers in the flood", func() bool {
					c := &dns.Client{Timeout: 20 * time.Millisecond}
					_, _, err := c.Exchange(question("b.", dns.TypeTXT), addr)
					return err == nil
				})
				began := time.Now()
				if err := s.Close(); err != nil {
					t.Errorf("Close() = %v", err)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("Close() in a flood took %v", took)
				}
				stop()
			}
		})
	}
}

// A reload loses no question, hot or cold, and changes from one to the other.
func TestReloadsLoseNothing(t *testing.T) {
	processors(t, 4)
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: map[any]any{hotKey{}: hotName("hot."), textKey{}: "cold"}})
	_, port, _ := net.SplitHostPort(addr)
	done := make(chan struct{})
	var clients sync.WaitGroup
	var asked atomic.Int64
	for i := range 8 {
		clients.Go(func() {
			c := &dns.Client{Timeout: time.Minute}
			conn, err := c.Dial(addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			name := []string{"hot.", "cold."}[i%2]
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, _, err := c.ExchangeWithConn(question(name, dns.TypeTXT), conn); err != nil {
					t.Errorf("a query for %s was lost: %v", name, err)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := range 20 {
		corefile := ".:PORT {\n bind 127.0.0.1\n" + []string{" minimal\n", ""}[i%2] + " muster\n}"
		if err := s.Reload([]byte(strings.ReplaceAll(corefile, "PORT", port))); err != nil {
			t.Errorf("Reload() = %v", err)
		}
		before := asked.Load()
		eventually(t, "answers after a reload", func() bool { return asked.Load() > before+50 || t.Failed() })
		if got, want := gathered(t, "coredns_transport_hot_path", "dns://"+addr), float64(i%2); got != want {
			t.Errorf("reload %d: hot path %v, want %v", i, got, want)
		}
	}
	close(done)
	clients.Wait()
}

// Long packets are whole, unless several come at once.
func TestLongPacketsOverUDP(t *testing.T) {
	for name, restore := range map[string]func() func(){"batches": func() func() { return func() {} }, "singly": dnsd.WithoutBatches} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(restore())
			_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: map[any]any{textKey{}: "text"}})
			for _, size := range []int{1000, 1200, 1233, 2000, 9000, 60000} {
				m := question("a.", dns.TypeTXT).SetEdns0(4096, false)
				m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: make([]byte, size)}}
				if got := answer(t, exchange(t, "udp", addr, m)); got != `"text"` {
					t.Errorf("answer to %d octets = %s", size, got)
				}
			}
		})
	}
}
