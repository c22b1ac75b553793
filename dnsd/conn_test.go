package dnsd_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// stream is a TCP connection of a client that writes messages and octets.
type stream struct {
	*dns.Conn
	tb testing.TB
}

// connect dials addr, and from the address "from" if it is not empty.
func connect(tb testing.TB, from, addr string) stream {
	tb.Helper()
	d := net.Dialer{Timeout: time.Minute}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatalf("dial %s = %v", addr, err)
	}
	tb.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		tb.Fatal(err)
	}
	return stream{&dns.Conn{Conn: conn}, tb}
}

// ask sends a query for TXT and returns its ID.
func (s stream) ask(name string) uint16 {
	s.tb.Helper()
	m := question(name, dns.TypeTXT)
	if err := s.WriteMsg(m); err != nil {
		s.tb.Fatalf("send a query for %s = %v", name, err)
	}
	return m.Id
}

// answers reads n answers and returns their IDs in the order they came in.
func (s stream) answers(n int) []uint16 {
	s.tb.Helper()
	var ids []uint16
	for len(ids) < n {
		r, err := s.ReadMsg()
		if err != nil {
			s.tb.Fatalf("answer %d of %d = %v", len(ids), n, err)
		}
		ids = append(ids, r.Id)
	}
	return ids
}

// octets sends them as they are.
func (s stream) octets(b ...byte) {
	s.tb.Helper()
	if _, err := s.Conn.Conn.Write(b); err != nil {
		s.tb.Fatalf("send %x = %v", b, err)
	}
}

// ends waits for the server to close the connection, and returns what it sent
// before that.
func (s stream) ends() []byte {
	s.tb.Helper()
	b, err := io.ReadAll(s.Conn.Conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.tb.Fatalf("the connection is open still")
	}
	return b
}

// held opens a server that holds queries for held.
func held(tb testing.TB, tail string, cfg dnsd.Config) (*dnsd.Server, string, *hold) {
	tb.Helper()
	h := &hold{arrived: make(chan struct{}), release: make(chan struct{})}
	cfg.Storage = map[any]any{holdKey{}: h, textKey{}: "text"}
	s, addr := open(tb, ".:PORT {\n bind 127.0.0.1\n"+tail+"\n muster\n}", cfg)
	return s, addr, h
}

func TestTCPAnswersAsTheyAreReady(t *testing.T) {
	_, addr, h := held(t, "", dnsd.Config{})
	conn := connect(t, "", addr)
	slow := conn.ask("held.")
	<-h.arrived
	quick := []uint16{conn.ask("a."), conn.ask("b.")}
	if got := conn.answers(2); !slices.Contains(got, quick[0]) || !slices.Contains(got, quick[1]) {
		t.Errorf("first answers = %v, want those to the later queries %v", got, quick)
	}
	close(h.release)
	if got := conn.answers(1); got[0] != slow {
		t.Errorf("last answer = %v, want that to the first query %d", got, slow)
	}
}

func TestTCPStopsReadingWhenTooManyAreUnderWay(t *testing.T) {
	const most, more = 32, 10
	_, addr, h := held(t, "", dnsd.Config{})
	conn := connect(t, "", addr)
	for range most + more {
		conn.ask("held.")
	}
	for range most {
		<-h.arrived
	}
	select {
	case <-h.arrived:
		t.Errorf("more than %d queries under way", most)
	case <-time.After(50 * time.Millisecond):
	}
	// Another connection has room of its own.
	other := connect(t, "", addr)
	other.ask("a.")
	other.answers(1)
	go func() {
		for range more {
			<-h.arrived
		}
	}()
	close(h.release)
	conn.answers(most + more)
}

func TestTCPIdleConnectionsAreClosed(t *testing.T) {
	const idle = 3 * time.Second // long enough for a busy machine to ask in time, and less than the usual 10 s
	_, addr, h := held(t, " timeouts {\n idle 3s\n }", dnsd.Config{})
	start := time.Now()
	silent, asking, waiting := connect(t, "", addr), connect(t, "", addr), connect(t, "", addr)
	waiting.ask("held.")
	<-h.arrived
	asking.ask("a.")
	asking.answers(1)
	asked := time.Now()
	for name, since := range map[string]time.Time{"silent": start, "asking": asked} {
		c := map[string]stream{"silent": silent, "asking": asking}[name]
		if b := c.ends(); len(b) > 0 {
			t.Errorf("%s connection got %x", name, b)
		}
		if took := time.Since(since); took < idle-50*time.Millisecond || took > 3*idle {
			t.Errorf("%s connection was closed after %v, want %v", name, took, idle)
		}
	}
	// That one has been waiting for its answer for as long, and is not idle.
	close(h.release)
	waiting.answers(1)
	waiting.ask("a.")
	waiting.answers(1)
}

func TestTCPMessagesMustComeInInTime(t *testing.T) {
	_, addr, _ := held(t, " timeouts {\n read 1s\n}", dnsd.Config{})
	wire, err := question("a.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for name, sent := range map[string][]byte{
		"half a length":              {0},
		"length without a message":   {0xff, 0xff},
		"half a message":             append([]byte{0, byte(len(wire))}, wire[:len(wire)/2]...),
		"message behind a whole one": slices.Concat([]byte{0, byte(len(wire))}, wire, []byte{0, 100, 1}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, "", addr)
			start := time.Now()
			conn.octets(sent...)
			conn.ends()
			if took := time.Since(start); took > 9*time.Second { // as idle it would be closed after 10 s
				t.Errorf("closed after %v, want 1 s", took)
			}
		})
	}
	t.Run("octet by octet", func(t *testing.T) {
		t.Parallel()
		conn := connect(t, "", addr)
		ticker := time.NewTicker(300 * time.Millisecond)
		defer ticker.Stop()
		start := time.Now()
		for _, b := range append([]byte{0, byte(len(wire))}, wire...) {
			if _, err := conn.Conn.Conn.Write([]byte{b}); err != nil {
				return
			}
			<-ticker.C
		}
		t.Errorf("all of it was sent, for %v, want the connection closed after 1 s", time.Since(start))
	})
}

func TestTCPConnectionsAreBounded(t *testing.T) {
	const clients = 4
	_, addr, h := held(t, "", dnsd.Config{MaxConns: clients}) // and so one for each client
	first := connect(t, "127.0.0.2", addr)
	first.ask("a.")
	first.answers(1)
	var second stream
	// An answer is out a moment before the connection is idle again.
	eventually(t, "place of the first connection", func() bool {
		second = connect(t, "127.0.0.2", addr)
		_ = second.WriteMsg(question("a.", dns.TypeTXT))
		_, err := second.ReadMsg()
		return err == nil
	})
	first.ends() // as idle as the second, but longer

	busy := []stream{second}
	for _, from := range []string{"127.0.0.3", "127.0.0.4", "127.0.0.5"} {
		busy = append(busy, connect(t, from, addr))
	}
	for _, c := range busy[:3] {
		c.ask("held.")
		<-h.arrived
	}
	last := connect(t, "127.0.0.6", addr)
	busy[3].ends() // the only idle one
	last.ask("held.")
	<-h.arrived
	before := dropped(t, addr, "tcp")
	if b := connect(t, "127.0.0.7", addr).ends(); len(b) > 0 {
		t.Errorf("connection above the limit got %x", b)
	}
	if got := dropped(t, addr, "tcp") - before; got != 1 {
		t.Errorf("connections counted as dropped = %v, want 1", got)
	}
	close(h.release)
	for _, c := range append(busy[:3], last) {
		c.answers(1)
	}
	eventually(t, "place of one of them", func() bool {
		conn := connect(t, "127.0.0.7", addr)
		_ = conn.WriteMsg(question("a.", dns.TypeTXT))
		_, err := conn.ReadMsg()
		return err == nil
	})
}

func TestTCPHalfAMessageHoldsNoPlace(t *testing.T) {
	_, addr, _ := held(t, " timeouts {\n read 1m\n idle 1m\n }", dnsd.Config{MaxConns: 8})
	half := []stream{connect(t, "", addr), connect(t, "", addr)} // all that one client may have
	for _, c := range half {
		c.octets(0, 100, 1, 2, 3)
	}
	start := time.Now()
	conn := connect(t, "", addr)
	conn.ask("a.")
	conn.answers(1)
	half[0].ends()
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("a place was free after %v, want at once", took)
	}
}

func TestTCPClientThatDoesNotReadIsCutOff(t *testing.T) {
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n timeouts {\n write 1s\n }\n muster\n}",
		dnsd.Config{Storage: map[any]any{textKey{}: strings.Repeat("x", 250)}, Drain: time.Minute})
	conn := connect(t, "", addr)
	// What it asks fills the buffers of both sides with answers, and then with
	// queries, as nothing is read without an answer going out.
	wire, err := question("a.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	many := slices.Repeat(append([]byte{0, byte(len(wire))}, wire...), 1000)
	for {
		if _, err := conn.Conn.Conn.Write(many); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is open still")
			}
			break
		}
	}
	exchange(t, "udp", addr, question("a.", dns.TypeTXT))
	// The end of the test closes the server, within the bound of a minute.
}

func TestKeepaliveIsToldWhereItIsAsked(t *testing.T) {
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n timeouts {\n idle 25s\n }\n whoami\n}", dnsd.Config{})
	option := func(data ...byte) *dns.EDNS0_LOCAL { // packs as it is told
		return &dns.EDNS0_LOCAL{Code: dns.EDNS0TCPKEEPALIVE, Data: data}
	}
	for _, tc := range []struct {
		name, network string
		options       []dns.EDNS0
		rcode         int
		want          uint16 // in units of 100 ms, or none for 0
	}{
		{"asked", "tcp", []dns.EDNS0{option()}, dns.RcodeSuccess, 250},
		{"asked among others", "tcp", []dns.EDNS0{&dns.EDNS0_NSID{}, option(), &dns.EDNS0_PADDING{Padding: []byte{0}}}, dns.RcodeSuccess, 250},
		{"not asked", "tcp", nil, dns.RcodeSuccess, 0},
		{"with a timeout", "tcp", []dns.EDNS0{option(0, 5)}, dns.RcodeFormatError, 0},
		{"with a timeout of zero", "tcp", []dns.EDNS0{option(0, 0)}, dns.RcodeFormatError, 0},
		{"with one octet", "tcp", []dns.EDNS0{option(0)}, dns.RcodeFormatError, 0},
		{"over UDP", "udp", []dns.EDNS0{option()}, dns.RcodeSuccess, 0},
		{"over UDP with a timeout", "udp", []dns.EDNS0{option(0, 5)}, dns.RcodeSuccess, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := question("example.org.", dns.TypeA).SetEdns0(1232, false)
			m.IsEdns0().Option = tc.options
			r := exchange(t, tc.network, addr, m)
			if r.Rcode != tc.rcode {
				t.Errorf("rcode = %s, want %s", dns.RcodeToString[r.Rcode], dns.RcodeToString[tc.rcode])
			}
			var got uint16
			if opt := r.IsEdns0(); opt != nil {
				for _, o := range opt.Option {
					if k, ok := o.(*dns.EDNS0_TCP_KEEPALIVE); ok {
						got = k.Timeout
						if tc.want == 0 {
							t.Errorf("keepalive = %v, want none", k)
						}
					}
				}
			} else if tc.rcode == dns.RcodeSuccess {
				t.Error("answer without OPT")
			}
			if got != tc.want {
				t.Errorf("keepalive timeout = %d, want %d", got, tc.want)
			}
		})
	}
}

func TestTCPSilenceAndRefusals(t *testing.T) {
	_, addr, _ := held(t, "", dnsd.Config{})
	t.Run("response", func(t *testing.T) {
		conn := connect(t, "", addr)
		if err := conn.WriteMsg(new(dns.Msg).SetReply(question("a.", dns.TypeTXT))); err != nil {
			t.Fatal(err)
		}
		id := conn.ask("a.")
		if got := conn.answers(1); got[0] != id {
			t.Errorf("answer = %v, want that to the query alone", got)
		}
	})
	t.Run("no header", func(t *testing.T) {
		for _, length := range []byte{0, 1, 11} {
			conn := connect(t, "", addr)
			conn.octets(append([]byte{0, length}, make([]byte, length)...)...)
			if b := conn.ends(); len(b) > 0 {
				t.Errorf("message of %d octets was answered with %x", length, b)
			}
		}
	})
	t.Run("half-closed", func(t *testing.T) {
		conn := connect(t, "", addr)
		conn.ask("a.")
		if err := conn.Conn.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b := conn.ends(); len(b) < 12 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
			t.Errorf("half-closed connection got %x, want one answer", b)
		}
	})
}

func TestCloseAnswersWhatIsUnderWayOverTCP(t *testing.T) {
	s, addr, h := held(t, "", dnsd.Config{})
	conn, idle, half := connect(t, "", addr), connect(t, "", addr), connect(t, "", addr)
	half.octets(0, 40, 1)
	id := conn.ask("held.")
	<-h.arrived
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	idle.ends()
	half.ends()
	close(h.release)
	if got := conn.answers(1); got[0] != id {
		t.Errorf("answer = %v, want %d", got, id)
	}
	conn.ends()
	if err := <-closed; err != nil {
		t.Errorf("Close() = %v", err)
	}
}
