package dnsd_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// message builds a packet from a header and what follows. The counts are those of
// questions, answers, authority and additional records.
func message(flags uint16, qd, an, ns, ar uint16, body ...string) []byte {
	m := binary.BigEndian.AppendUint16(nil, 4711)
	for _, v := range []uint16{flags, qd, an, ns, ar} {
		m = binary.BigEndian.AppendUint16(m, v)
	}
	return append(m, strings.Join(body, "")...)
}

// Pieces of messages.
const (
	inTXT  = "\x00\x10\x00\x01"
	aTXT   = "\x01a\x00" + inTXT
	anOPT  = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
	anRR   = "\x01a\x00" + inTXT + "\x00\x00\x00\x3c\x00\x02\x01x"
	aTSIG  = "\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x1e\x0bhmac-sha256\x00\x00\x00\x00\x00\x00\x00\x01\x2c\x00\x00\x12\x67\x00\x00\x00\x00"
	optHas = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00" // and then a length and options
)

// labels are n labels of the length.
func labels(n, length int) string {
	return strings.Repeat(string(rune(length))+strings.Repeat("x", length), n)
}

// hostile are messages that somebody may send to do harm, or because it is broken.
// Each says with which rcodes it may be answered: as a client that asks for sense
// cannot tell these apart, any will do where there are several. None is silence.
var hostile = []struct {
	name   string
	wire   []byte
	rcodes []int
}{
	{"compression loop", message(0x100, 1, 0, 0, 0, "\xc0\x0c", inTXT), formErr},
	{"compression loop of two", message(0x100, 1, 0, 0, 0, "\xc0\x0e\xc0\x0c", inTXT), formErr},
	{"compression loop through a label", message(0x100, 1, 0, 0, 0, "\x01a\xc0\x0c", inTXT), formErr},
	{"pointer past the end", message(0x100, 1, 0, 0, 0, "\xff\xff", inTXT), formErr},
	{"pointer to the header", message(0x100, 1, 0, 0, 0, "\xc0\x00", inTXT), anyRcode},
	{"half a pointer", message(0x100, 1, 0, 0, 0, "\xc0"), formErr},
	{"pointer in a record", message(0x100, 1, 0, 0, 1, aTXT, "\xc0\x13\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"), formErr},
	{"reserved label type", message(0x100, 1, 0, 0, 0, "\x41a\x00", inTXT), formErr},
	{"label past the end", message(0x100, 1, 0, 0, 0, "\x3fabc"), formErr},
	{"name without an end", message(0x100, 1, 0, 0, 0, "\x01a\x01b"), formErr},
	{"no question promised", message(0x100, 0, 0, 0, 0, aTXT), formErr},
	{"question promised and none there", message(0x100, 1, 0, 0, 0), formErr},
	{"two questions", message(0x100, 2, 0, 0, 0, aTXT, aTXT), formErr},
	{"65535 questions", message(0x100, 65535, 0, 0, 0, aTXT), formErr},
	{"65535 of everything", message(0x100, 65535, 65535, 65535, 65535, aTXT), formErr},
	{"answer promised and none there", message(0x100, 1, 1, 0, 0, aTXT), anyRcode},
	{"additional promised and none there", message(0x100, 1, 0, 0, 2, aTXT), anyRcode},
	{"many additional records", message(0x100, 1, 0, 0, 400, aTXT, strings.Repeat(anRR, 400)), formErr},
	{"question cut off", message(0x100, 1, 0, 0, 0, "\x01a\x00\x00"), formErr},
	{"NUL labels", message(0x100, 1, 0, 0, 0, "\x03\x00\x00\x00\x01\x00\x00", inTXT), anyRcode},
	{"labels of dots", message(0x100, 1, 0, 0, 0, "\x03...\x01.\x00", inTXT), anyRcode},
	{"label of 63", message(0x100, 1, 0, 0, 0, labels(1, 63), "\x00", inTXT), anyRcode},
	{"label of 64", message(0x100, 1, 0, 0, 0, labels(1, 64), "\x00", inTXT), formErr},
	{"name of 255", message(0x100, 1, 0, 0, 0, labels(3, 63), labels(1, 61), "\x00", inTXT), anyRcode},
	{"name of 256", message(0x100, 1, 0, 0, 0, labels(3, 63), labels(1, 62), "\x00", inTXT), formErr},
	{"127 labels", message(0x100, 1, 0, 0, 0, labels(127, 1), "\x00", inTXT), anyRcode},
	{"128 labels", message(0x100, 1, 0, 0, 0, labels(128, 1), "\x00", inTXT), formErr},
	{"30000 labels", message(0x100, 1, 0, 0, 0, labels(30000, 1), "\x00", inTXT), formErr},
	{"root", message(0x100, 1, 0, 0, 0, "\x00", inTXT), anyRcode},
	{"trailing octets", message(0x100, 1, 0, 0, 0, aTXT, "rubbish"), anyRcode},
	{"much trailing", message(0x100, 1, 0, 0, 0, aTXT, strings.Repeat("x", 60000)), anyRcode},
	{"two OPT", message(0x100, 1, 0, 0, 2, aTXT, anOPT, anOPT), formErr},
	{"OPT of another name", message(0x100, 1, 0, 0, 1, aTXT, "\x01a", anOPT), anyRcode},
	{"OPT as answer", message(0x100, 1, 1, 0, 0, aTXT, anOPT), anyRcode},
	{"OPT of version 255", message(0x100, 1, 0, 0, 1, aTXT, "\x00\x00\x29\x04\xd0\x00\xff\x00\x00\x00\x00"), []int{dns.RcodeBadVers}},
	{"OPT that is longer than the message", message(0x100, 1, 0, 0, 1, aTXT, optHas, "\xff\xff"), formErr},
	{"option without a length", message(0x100, 1, 0, 0, 1, aTXT, optHas, "\x00\x02\x00\x0a"), formErr},
	{"option that is longer than OPT", message(0x100, 1, 0, 0, 1, aTXT, optHas, "\x00\x04\x00\x0a\x00\xff"), formErr},
	{"cookie of one octet", message(0x100, 1, 0, 0, 1, aTXT, optHas, "\x00\x05\x00\x0a\x00\x01x"), anyRcode},
	{"client subnet of family 9", message(0x100, 1, 0, 0, 1, aTXT, optHas, "\x00\x08\x00\x08\x00\x04\x00\x09\xff\xff"), formErr},
	{"client subnet of 255 bits", message(0x100, 1, 0, 0, 1, aTXT, optHas, "\x00\x09\x00\x08\x00\x05\x00\x01\xff\x00\x0a"), formErr},
	{"UDP size of zero", message(0x100, 1, 0, 0, 1, aTXT, "\x00\x00\x29\x00\x00\x00\x00\x00\x00\x00\x00"), anyRcode},
	{"TSIG before OPT", message(0x100, 1, 0, 0, 2, aTXT, aTSIG, anOPT), formErr},
	{"two TSIG", message(0x100, 1, 0, 0, 2, aTXT, aTSIG, aTSIG), formErr},
	{"TSIG cut off", message(0x100, 1, 0, 0, 1, aTXT, aTSIG[:len(aTSIG)-8]), formErr},
	{"TSIG without a signature", message(0x100, 1, 0, 0, 1, aTXT, aTSIG), anyRcode},
	{"UPDATE full of records", message(0x2800, 1, 0, 300, 0, "\x01a\x00\x00\x06\x00\x01", strings.Repeat(anRR, 300)), []int{dns.RcodeNotImplemented}},
	{"UPDATE of two zones", message(0x2800, 2, 0, 0, 0, aTXT, aTXT), []int{dns.RcodeNotImplemented}},
	{"IQUERY", message(0x0800, 1, 0, 0, 0, aTXT), []int{dns.RcodeNotImplemented}},
	{"opcode 15", message(0x7800, 1, 0, 0, 0, aTXT), []int{dns.RcodeNotImplemented}},
	{"all flags but QR", message(0x7fff, 1, 0, 0, 0, aTXT), []int{dns.RcodeNotImplemented}},
	{"class 0", message(0x100, 1, 0, 0, 0, "\x01a\x00\x00\x10\x00\x00"), []int{dns.RcodeRefused}},
	{"class 65535", message(0x100, 1, 0, 0, 0, "\x01a\x00\x00\x10\xff\xff"), []int{dns.RcodeRefused}},
	{"type 0", message(0x100, 1, 0, 0, 0, "\x01a\x00\x00\x00\x00\x01"), anyRcode},
	{"type 65535", message(0x100, 1, 0, 0, 0, "\x01a\x00\xff\xff\x00\x01"), anyRcode},
	{"response", message(0x8100, 1, 0, 0, 0, aTXT), nil},
	{"response that says FORMERR", message(0x8101, 0, 0, 0, 0), nil},
	{"header alone", message(0, 0, 0, 0, 0), formErr},
	{"zeros", make([]byte, 512), formErr},
	{"ones", bytes.Repeat([]byte{0xff}, 512), nil},
	{"dots", bytes.Repeat([]byte{0x2e}, 512), []int{dns.RcodeNotImplemented}},
}

var (
	formErr  = []int{dns.RcodeFormatError}
	anyRcode = []int{-1}
)

// honest asks over both transports in turn until done, and fails the test when it
// is not answered.
func honest(t *testing.T, addr string, done <-chan struct{}, asked *atomic.Int64) {
	t.Helper()
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case <-pace.C:
		}
		network := []string{"udp", "tcp"}[n%2]
		c := &dns.Client{Net: network, Timeout: 10 * time.Second}
		var r *dns.Msg
		var err error
		for range 6 { // over UDP one is lost when the socket is full
			if r, _, err = c.Exchange(question("honest.", dns.TypeTXT), addr); err == nil {
				break
			}
		}
		if err != nil || len(r.Answer) != 1 {
			t.Errorf("honest query %d over %s = %v, %v", n, network, r, err)
			return
		}
		asked.Add(1)
	}
}

func TestHostileMessages(t *testing.T) {
	_, addr := open(t, ".:PORT {\n muster\n}", dnsd.Config{Storage: map[any]any{textKey{}: "text"}})
	done := make(chan struct{})
	var asked atomic.Int64
	var clients sync.WaitGroup
	clients.Go(func() { honest(t, addr, done, &asked) })
	for _, network := range []string{"udp", "tcp"} {
		for _, tc := range hostile {
			t.Run(tc.name+" over "+network, func(t *testing.T) {
				check(t, network, addr, tc.wire, tc.rcodes)
			})
		}
	}
	close(done)
	clients.Wait()
	t.Logf("%d honest queries beside", asked.Load())
}

// check sends one message, with a good one behind it, and looks at the answers.
func check(t *testing.T, network, addr string, wire []byte, rcodes []int) {
	t.Helper()
	conn, err := dial(t, network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
	good := question("a.", dns.TypeTXT)
	if good.Id == 4711 {
		good.Id++
	}
	if _, err := c.Write(wire); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMsg(good); err != nil {
		t.Fatal(err)
	}
	// In any order: they are answered at the same time.
	for left := 1 + min(len(rcodes), 1); left > 0; left-- {
		r, err := c.ReadMsg()
		if err != nil {
			t.Fatalf("%d answers missing: %v", left, err)
		}
		if r.Id == good.Id {
			if r.Rcode != dns.RcodeSuccess {
				t.Errorf("good query = %v", r)
			}
			continue
		}
		if !r.Response || !slices.Contains(rcodes, -1) && !slices.Contains(rcodes, r.Rcode) {
			t.Errorf("answer = %v, want one of the rcodes %v", r, rcodes)
		}
		if r.Rcode == dns.RcodeFormatError && r.Len() != 12 {
			t.Errorf("FORMERR = %v, want a header alone", r)
		}
	}
}

// mutator makes packets that are not quite queries.
type mutator struct {
	*rand.Rand
	seeds [][]byte
}

func newMutator(tb testing.TB, seed uint64) *mutator {
	tb.Helper()
	m := &mutator{Rand: rand.New(rand.NewPCG(seed, seed))}
	for _, tc := range hostile {
		if len(tc.wire) < 1000 {
			m.seeds = append(m.seeds, tc.wire)
		}
	}
	return m
}

// packet fills buf with random octets, or with a seed of which some are changed.
func (m *mutator) packet(buf []byte) []byte {
	if m.IntN(4) == 0 {
		p := buf[:m.IntN(200)]
		for i := range p {
			p[i] = byte(m.Uint32())
		}
		return p
	}
	p := append(buf[:0], m.seeds[m.IntN(len(m.seeds))]...)
	for range 1 + m.IntN(4) {
		if len(p) > 0 {
			p[m.IntN(len(p))] = byte(m.Uint32())
		}
	}
	if m.IntN(3) == 0 {
		p = p[:m.IntN(len(p)+1)]
	}
	return p
}

// TestFlood sends packets of all kinds as fast as they are read, and checks that
// nothing is left of them.
func TestFlood(t *testing.T) {
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: map[any]any{textKey{}: "text"}})
	var asked atomic.Int64
	done := make(chan struct{})
	var clients sync.WaitGroup
	flood(t, addr, floodPackets/20) // grows what is kept for the next ones
	goroutines, heap := runtime.NumGoroutine(), heapInUse()

	clients.Go(func() { honest(t, addr, done, &asked) })
	start := time.Now()
	flood(t, addr, floodPackets)
	took := time.Since(start)
	close(done)
	clients.Wait()
	t.Logf("%d packets in %v, %d honest queries beside", floodPackets, took, asked.Load())
	if asked.Load() == 0 {
		t.Error("no honest query was answered")
	}
	// Up to 64 goroutines of the address wait for queries, as before.
	const waiting = 64
	eventually(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= goroutines+waiting })
	const bound = 16 << 20
	eventually(t, "memory given back", func() bool { return heapInUse() < heap+bound })
}

// flood sends n packets. A marker now and then is answered when all before it have
// been read, so that no more than a window of packets waits in the socket.
func flood(t *testing.T, addr string, n int) {
	t.Helper()
	conn, err := net.Dial("udp", addr) //nolint:noctx // as any client dials
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const window = 256
	m := newMutator(t, uint64(n))
	buf, in := make([]byte, 2048), make([]byte, dns.MaxMsgSize)
	for sent := range n {
		if _, err := conn.Write(m.packet(buf)); err != nil {
			t.Fatalf("packet %d: %v", sent, err)
		}
		if sent%window == window-1 {
			awaitMarker(t, conn, in)
		}
	}
}

// awaitMarker sends a query until it is answered, past all other answers.
func awaitMarker(t *testing.T, conn net.Conn, in []byte) {
	t.Helper()
	marker := question("the-marker-of-the-flood.", dns.TypeTXT)
	wire, err := marker.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if _, err := conn.Write(wire); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := conn.Read(in)
			if err != nil {
				break // lost: its answer, or the query
			}
			if bytes.Contains(in[:n], []byte("the-marker-of-the-flood")) {
				return
			}
		}
	}
	t.Fatal("no answer within a minute")
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
