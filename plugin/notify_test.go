package plugin_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/test/binary"
)

// atOnce is how soon somebody hears of a change: within a second, and what it takes to
// run the test.
var atOnce = binary.Promptly(1500 * time.Millisecond)

// hearing is a secondary as far as NOTIFY goes.
type hearing struct {
	addr  string
	heard chan *dns.Msg

	mu   sync.Mutex
	deaf int // messages that are not answered, -1 for all; guarded by mu
}

func hear(t *testing.T, deaf int) *hearing {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hearing{addr: conn.LocalAddr().String(), heard: make(chan *dns.Msg, 1000), deaf: deaf}
	server := &dns.Server{PacketConn: conn, Handler: h, TsigSecret: map[string]string{"xfr.": secret},
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.ActivateAndServe() })
	t.Cleanup(func() {
		_ = server.Shutdown()
		wg.Wait()
	})
	return h
}

// ServeDNS implements dns.Handler.
func (h *hearing) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	h.mu.Lock()
	answer := h.deaf == 0
	if h.deaf > 0 {
		h.deaf--
	}
	h.mu.Unlock()
	reply := new(dns.Msg).SetReply(r)
	if key := r.IsTsig(); key != nil {
		if w.TsigStatus() != nil {
			reply.Rcode = dns.RcodeNotAuth
		}
		reply.SetTsig(key.Hdr.Name, key.Algorithm, 300, time.Now().Unix())
	}
	if answer {
		_ = w.WriteMsg(reply)
	}
	if reply.Rcode == dns.RcodeSuccess {
		h.heard <- r
	}
}

// next returns the next NOTIFY, which must come within some time.
func (h *hearing) next(t *testing.T, within time.Duration) *dns.Msg {
	t.Helper()
	select {
	case m := <-h.heard:
		if m.Opcode != dns.OpcodeNotify || !m.Authoritative || len(m.Answer) != 1 {
			t.Fatalf("heard %v, want a NOTIFY with the SOA", m)
		}
		return m
	case <-time.After(within):
		t.Fatalf("nothing is heard within %v", within)
		return nil
	}
}

// until waits for the NOTIFY of a serial, and returns how many came before it.
func (h *hearing) until(t *testing.T, serial uint32, within time.Duration) (before int) {
	t.Helper()
	for deadline := time.Now().Add(within); ; before++ {
		if serialOf(h.next(t, time.Until(deadline)).Answer[0]) == serial {
			return before
		}
	}
}

func TestNotify(t *testing.T) {
	f, first, second, dead := newFollowing(), hear(t, 0), hear(t, 0), hear(t, -1)
	f.register(t, key("a"), "10.0.0.1", 80)
	start(t, f, fmt.Sprintf("muster muster.internal {\nnotify %s %s\nnotify %s 127.0.0.1:9\n}", dead.addr, first.addr, second.addr))
	for _, h := range []*hearing{first, second} { // after a start nobody knows who missed what
		h.until(t, uint32(f.Snapshot().Revision()), atOnce)
	}
	f.register(t, key("a"), "10.0.0.2", 80)
	for _, h := range []*hearing{first, second} {
		h.until(t, uint32(f.Snapshot().Revision()), atOnce)
	}

	began := time.Now()
	for i := range 300 {
		f.register(t, key("b"), "10.0.1.1", uint16(i+1))
	}
	took := time.Since(began)
	if heard := first.until(t, uint32(f.Snapshot().Revision()), binary.Promptly(2*time.Second)); heard > int(took/time.Second)+2 {
		t.Errorf("of 300 changes in %v there are told %d before the last one, want one a second", took, heard)
	}
}

func TestNotifyIsRepeatedUntilItIsAnswered(t *testing.T) {
	f, h := newFollowing(), hear(t, 2)
	f.register(t, key("a"), "10.0.0.1", 80)
	start(t, f, fmt.Sprintf("muster muster.internal {\nnotify %s\n}", h.addr))
	for range 3 {
		h.next(t, time.Minute)
	}
	select {
	case m := <-h.heard:
		t.Errorf("after an answer there comes %v", m)
	case <-time.After(3 * time.Second):
	}
}

func TestNotifyOfEachZone(t *testing.T) {
	f, h := newFollowing(), hear(t, 0)
	f.register(t, key("a"), "10.0.0.1", 80)
	start(t, f, fmt.Sprintf("muster muster.internal 10.in-addr.arpa {\nnotify %s\n}", h.addr))
	heard := map[string]bool{}
	for range 2 {
		heard[h.next(t, atOnce).Question[0].Name] = true
	}
	if !heard["muster.internal."] || !heard["10.in-addr.arpa."] {
		t.Errorf("heard of %v, want both zones", heard)
	}
}

func TestNotifyIsSigned(t *testing.T) {
	f, h := newFollowing(), hear(t, 0)
	f.register(t, key("a"), "10.0.0.1", 80)
	start(t, f, fmt.Sprintf("tsig {\nsecret xfr. %s\n}\nmuster muster.internal {\nnotify %s key XFR\n}", secret, h.addr))
	if m := h.next(t, atOnce); m.IsTsig() == nil || m.IsTsig().Hdr.Name != "xfr." {
		t.Errorf("heard %v, want it signed", m)
	}
}

// Until the roll is known there is nothing to tell.
func TestNotifyWaitsForTheRoll(t *testing.T) {
	f, h := newFollowing(), hear(t, 0)
	f.register(t, key("a"), "10.0.0.1", 80)
	f.unready.Store(true)
	_, stop := start(t, f, fmt.Sprintf("muster muster.internal {\nnotify %s\n}", h.addr))
	f.register(t, key("a"), "10.0.0.2", 80)
	f.unready.Store(false)
	f.register(t, key("a"), "10.0.0.3", 80)
	h.until(t, uint32(f.Snapshot().Revision()), atOnce)
	stop()
	f.register(t, key("a"), "10.0.0.4", 80)
	select {
	case m := <-h.heard:
		if serialOf(m.Answer[0]) == uint32(f.Snapshot().Revision()) {
			t.Errorf("after the end there is told of what came later: %v", m)
		}
	default:
	}
}

func TestSecondariesRefused(t *testing.T) {
	tests := []struct{ name, property, want string }{
		{"nobody to tell", "notify", "notify: want one address or more"},
		{"a key for nobody", "notify key xfr", "want one address or more"},
		{"a name", "notify ns2.example.org", `"ns2.example.org" is not an IP address`},
		{"a port that is none", "notify 192.0.2.1:dns", `"192.0.2.1:dns" is not an IP address`},
		{"an unknown key", "notify 192.0.2.1 key xfr", "there is no key xfr.: name it in the plugin tsig"},
		{"no number", "journal many", "journal: want one number from 0 to 65536"},
		{"twice", "journal 1\njournal 2", "journal is given twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(t, "muster example.org {\n"+test.property+"\n}", newFollowing())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("setup = %v, want %q", err, test.want)
			}
		})
	}
	if _, err := load(t, "muster example.org {\nnotify 192.0.2.1\n}", newSource()); err == nil || !strings.Contains(err.Error(), "does not tell when it changes") {
		t.Errorf("setup over a source that tells nothing = %v", err)
	}
}
