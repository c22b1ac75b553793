package localdns_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/agent/localdns"
)

// fake is a name server on loopback, over UDP and TCP, that notes what it is asked.
type fake struct {
	addr string
	deaf atomic.Bool // it reads and says nothing

	mu     sync.Mutex
	answer func(*dns.Msg) *dns.Msg // under mu
	asked  []string                // "NAME TYPE"; under mu
}

// startFake starts one whose answers are those of a zone file's lines, with NXDOMAIN
// for other names. It ends with the test.
func startFake(t testing.TB, records ...string) *fake {
	t.Helper()
	pc, l := listen(t)
	f := &fake{addr: pc.LocalAddr().String()}
	f.set(zone(t, records...))
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: f}, {Listener: l, Handler: f}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		done := make(chan struct{})
		go func() { defer close(done); _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown(); <-done })
	}
	return f
}

// listen returns sockets for UDP and TCP at one port.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for {
		pc, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, l
		}
		pc.Close() // the port is somebody's for TCP
	}
}

func (f *fake) set(answer func(*dns.Msg) *dns.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// names returns what it was asked, without what only asks for its health.
func (f *fake) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.asked), func(q string) bool { return strings.HasSuffix(q, " SOA") })
}

func (f *fake) count(q string) (n int) {
	for _, asked := range f.names() {
		if asked == q {
			n++
		}
	}
	return n
}

func (f *fake) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	f.mu.Lock()
	f.asked = append(f.asked, r.Question[0].Name+" "+dns.TypeToString[r.Question[0].Qtype])
	answer := f.answer
	f.mu.Unlock()
	if f.deaf.Load() {
		return
	}
	if m := answer(r); m != nil {
		if w.LocalAddr().Network() == "udp" {
			m.Truncate(1232)
		}
		_ = w.WriteMsg(m)
	}
}

// zone answers from records, each a line of a zone file.
func zone(t testing.TB, lines ...string) func(*dns.Msg) *dns.Msg {
	t.Helper()
	soa := rr(t, "muster.internal. 5 IN SOA ns1.muster.internal. host.muster.internal. 1 60 60 60 5")
	records := []dns.RR{soa}
	for _, line := range lines {
		records = append(records, rr(t, line))
	}
	return func(r *dns.Msg) *dns.Msg {
		m := new(dns.Msg)
		m.SetReply(r)
		m.Authoritative = true
		q, exists := r.Question[0], false
		for _, record := range records {
			if !strings.EqualFold(record.Header().Name, q.Name) {
				continue
			}
			exists = true
			if t := record.Header().Rrtype; t == q.Qtype || t == dns.TypeCNAME {
				m.Answer = append(m.Answer, dns.Copy(record))
			}
		}
		if len(m.Answer) == 0 {
			m.Ns = []dns.RR{dns.Copy(soa)}
		}
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
		if opt := r.IsEdns0(); opt != nil {
			m.SetEdns0(1232, opt.Do())
		}
		return m
	}
}

// refusing answers each question with an rcode.
func refusing(rcode int) func(*dns.Msg) *dns.Msg {
	return func(r *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(r, rcode) }
}

func rr(t testing.TB, line string) dns.RR {
	t.Helper()
	record, err := dns.NewRR(line)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return record
}

// local is a running Resolver.
type local struct {
	*localdns.Resolver
	t    testing.TB
	stop func()
}

// start opens and runs a Resolver, by default on a free port and with no upstream.
func start(t testing.TB, cfg localdns.Config) *local {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.ResolvConf == "" {
		cfg.ResolvConf = "/dev/null"
	}
	cfg.Logger = slog.New(slog.NewTextHandler(testLog{t}, nil))
	r, err := localdns.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	return &local{Resolver: r, t: t, stop: stop}
}

// testLog writes the log lines of the code under test to the log of the test.
type testLog struct{ testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.Helper()
	l.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// ask asks over UDP with EDNS and fails the test when no answer comes.
func (l *local) ask(name string, qtype uint16) *dns.Msg {
	l.t.Helper()
	return l.over("udp", name, qtype)
}

func (l *local) over(network, name string, qtype uint16) *dns.Msg {
	l.t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.SetEdns0(1232, false)
	c := &dns.Client{Net: network, Timeout: time.Minute}
	m, _, err := c.ExchangeContext(l.t.Context(), q, l.Address())
	if err != nil {
		l.t.Fatalf("%s %s: %v", name, dns.TypeToString[qtype], err)
	}
	return m
}

// brief is a message in a line: rcode, addresses or other data of the answer, and
// the codes of its extended errors.
func brief(m *dns.Msg) string {
	var parts []string
	for _, rr := range m.Answer {
		text := strings.TrimPrefix(rr.String(), rr.Header().String())
		parts = append(parts, text)
	}
	slices.Sort(parts)
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				parts = append(parts, fmt.Sprintf("ede=%d", e.InfoCode))
			}
		}
	}
	return strings.Join(append([]string{dns.RcodeToString[m.Rcode]}, parts...), " ")
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
