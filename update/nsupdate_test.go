package update_test

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/update"
)

// What nsupdate makes of its commands is what Read understands, and what Read
// answers nsupdate shows.
func TestNsupdate(t *testing.T) {
	path := peer.Path(t, "nsupdate")
	for _, c := range []struct {
		name   string
		script string
		want   []string
		says   string // by nsupdate; empty: nothing, as all went well
	}{
		{"add with metadata",
			"update add new.svc.ZONE 60 SRV 0 3000 8080 ip-10-0-0-9.addr.ZONE\nupdate add new.svc.ZONE 60 TXT \"a=1\" \"b=2\"",
			[]string{"+public@@DEFAULT_GROUP@@new@@10.0.0.9:8080 3 DEFAULT map[a:1 b:2]"}, ""},
		{"add if the name is free", "prereq nxdomain new.svc.ZONE\nupdate add new.svc.ZONE 60 SRV 0 0 80 web.example.org.",
			[]string{"+public@@DEFAULT_GROUP@@new@@web.example.org:80 0 DEFAULT"}, ""},
		{"add though the name must be free",
			"prereq nxdomain v6only.svc.ZONE\nupdate add v6only.svc.ZONE 60 SRV 0 0 80 web.example.org.", nil, "YXDOMAIN"},
		{"replace what must be these records", "prereq yxrrset v6only.svc.ZONE SRV 0 1000 9000 ip6-2001-db8-0-0-0-0-0-1.addr.ZONE\n" +
			"update delete v6only.svc.ZONE SRV\nupdate add v6only.svc.ZONE 60 SRV 0 1000 9001 ip6-2001-db8-0-0-0-0-0-1.addr.ZONE",
			[]string{"+public@@DEFAULT_GROUP@@v6only@@[2001:db8::1]:9001 1 DEFAULT",
				"-public@@DEFAULT_GROUP@@v6only@@[2001:db8::1]:9000"}, ""},
		{"delete a record", "update delete v6only.svc.ZONE SRV 0 1000 9000 ip6-2001-db8-0-0-0-0-0-1.addr.ZONE",
			[]string{"-public@@DEFAULT_GROUP@@v6only@@[2001:db8::1]:9000"}, ""},
		{"delete all at a name", "update delete v6only.svc.ZONE", []string{"-public@@DEFAULT_GROUP@@v6only@@[2001:db8::1]:9000"}, ""},
		{"an address alone", "update add new.svc.ZONE 60 A 10.0.0.9", nil, "REFUSED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t)
			_, port, err := net.SplitHostPort(s.addr)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), path, "-v")
			cmd.Stdin = strings.NewReader("server 127.0.0.1 " + port + "\nzone " + zone + "\n" +
				strings.ReplaceAll(c.script, "ZONE", zone) + "\nsend\n")
			out, err := cmd.CombinedOutput()
			if (err == nil) != (c.says == "") || !strings.Contains(string(out), c.says) {
				t.Errorf("nsupdate: %v, it says %q, want %q", err, out, c.says)
			}
			if diff := cmp.Diff(c.want, s.done()); diff != "" {
				t.Errorf("Read (-want +got):\n%s", diff)
			}
		})
	}
}

// server answers updates with what Read says of them, and keeps the changes.
type server struct {
	addr string

	mu      sync.Mutex
	changes []string
}

func (s *server) done() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// ServeDNS implements dns.Handler.
func (s *server) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	reply := new(dns.Msg).SetReply(m)
	c, err := update.Read(m, zone, fixture(), bounds, nil)
	if e, ok := errors.AsType[*update.Error](err); ok {
		reply.Rcode = e.Rcode
	}
	s.mu.Lock()
	s.changes = append(s.changes, lines(c)...)
	s.mu.Unlock()
	_ = w.WriteMsg(reply) // a client that is gone shows in its own test
}

func serve(t *testing.T) *server {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String()}
	d := &dns.Server{Listener: l, Handler: s, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	var wg sync.WaitGroup
	started := make(chan struct{})
	d.NotifyStartedFunc = func() { close(started) }
	wg.Go(func() {
		if err := d.ActivateAndServe(); err != nil {
			t.Error(err)
		}
	})
	<-started
	t.Cleanup(func() {
		if err := d.Shutdown(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return s
}
