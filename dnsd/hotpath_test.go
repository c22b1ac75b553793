package dnsd_test

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// hotName is a hot path that answers one name with NODATA.
type hotName string

func (h hotName) Answer(buf, query []byte, _ netip.AddrPort) (int, bool) {
	var m dns.Msg
	if m.Unpack(query) != nil || len(m.Question) != 1 || m.Question[0].Name != string(h) {
		return 0, false
	}
	out, err := new(dns.Msg).SetReply(&m).PackBuffer(buf)
	if err != nil {
		return 0, false
	}
	return copy(buf, out), true
}

func (hotName) Sent(int, time.Duration) {}

// watched counts what a hot path is asked.
type watched struct {
	dnsd.HotPath
	asked atomic.Int32
	from  atomic.Pointer[netip.AddrPort]
}

func (w *watched) Answer(buf, query []byte, from netip.AddrPort) (int, bool) {
	w.asked.Add(1)
	w.from.Store(&from)
	if len(buf) < 1232 {
		return 0, false
	}
	return w.HotPath.Answer(buf, query, from)
}

func TestHotPathIsAskedFirst(t *testing.T) {
	hot := &watched{HotPath: hotName("hot.")}
	_, addr := open(t, ".:PORT {\n muster\n}", dnsd.Config{
		Storage: map[any]any{hotKey{}: hot, textKey{}: "cold"},
	})
	if r := exchange(t, "udp", addr, question("hot.", dns.TypeTXT)); len(r.Answer) != 0 {
		t.Errorf("hot name = %v, want the hot path's empty answer", r.Answer)
	}
	if got := answer(t, exchange(t, "udp", addr, question("cold.", dns.TypeTXT))); got != `"cold"` {
		t.Errorf("declined name = %s, want CoreDNS's answer", got)
	}
	if got := hot.asked.Load(); got != 2 {
		t.Errorf("hot path asked %d times over UDP, want 2", got)
	}
	if from := hot.from.Load(); !from.Addr().Is4() || !from.Addr().IsLoopback() {
		t.Errorf("client on a dual-stack socket = %v, want 127.0.0.1", from)
	}
	if got := answer(t, exchange(t, "tcp", addr, question("hot.", dns.TypeTXT))); got != `"cold"` {
		t.Errorf("hot name over TCP = %s, want CoreDNS's answer", got)
	}
	if got := hot.asked.Load(); got != 2 {
		t.Errorf("hot path asked over TCP")
	}
}

// silent takes everything and answers nothing.
type silent struct{}

func (silent) Answer([]byte, []byte, netip.AddrPort) (int, bool) { return 0, true }

func (silent) Sent(int, time.Duration) {}

func TestHotPathMayBeSilent(t *testing.T) {
	hot := &watched{HotPath: silent{}}
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: map[any]any{hotKey{}: hot}})
	c := &dns.Client{Timeout: 100 * time.Millisecond}
	if r, _, err := c.Exchange(question("a.", dns.TypeA), addr); err == nil {
		t.Errorf("answer = %v, want none", r)
	}
	if got := hot.asked.Load(); got != 1 {
		t.Errorf("hot path asked %d times, want 1", got)
	}
}

// echo answers each query with itself, as a response.
type echo struct{}

func (echo) Sent(int, time.Duration) {}

func (echo) Answer(buf, query []byte, _ netip.AddrPort) (int, bool) {
	n := copy(buf, query)
	buf[2] |= 0x80
	return n, true
}
