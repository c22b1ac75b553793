package localdns_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/agent/localdns"
)

const (
	order    = "order.svc.muster.internal."
	orderA   = order + " 1 IN A 192.0.2.1"
	orderSRV = order + " 1 IN SRV 0 1000 80 ip-192-0-2-1.addr.muster.internal."
)

func TestStaleWhileNoServerAnswers(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*fake){
		"silent":  func(f *fake) { f.deaf.Store(true) },
		"failing": func(f *fake) { f.set(refusing(dns.RcodeServerFailure)) },
		"refuses": func(f *fake) { f.set(refusing(dns.RcodeRefused)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, orderA, orderSRV)
			l := start(t, localdns.Config{Servers: []string{f.addr}})
			if got := brief(l.ask(order, dns.TypeA)); got != "NOERROR 192.0.2.1" {
				t.Fatalf("answer = %s", got)
			}
			_ = l.ask("nope."+order, dns.TypeA)
			away(f)
			eventually(t, "a stale answer", func() bool { return brief(l.ask(order, dns.TypeA)) == "NOERROR 192.0.2.1 ede=3" })
			if m := l.ask(order, dns.TypeA); m.Answer[0].Header().Ttl == 0 || m.Answer[0].Header().Ttl > 30 {
				t.Errorf("TTL of a stale answer = %d, want 1 to 30", m.Answer[0].Header().Ttl)
			}
			if got := brief(l.ask("unknown."+order, dns.TypeA)); got != "SERVFAIL ede=22" {
				t.Errorf("a name that was not asked for = %s, want SERVFAIL", got)
			}
			eventually(t, "a status that says so", func() bool { return !l.Status().StaleSince.IsZero() && !l.Status().Servers[0].Up })
			f.deaf.Store(false)
			f.set(zone(t, order+" 1 IN A 192.0.2.2"))
			eventually(t, "the answer of the server that is back", func() bool { return brief(l.ask(order, dns.TypeA)) == "NOERROR 192.0.2.2" })
		})
	}
}

func TestStartWithoutServers(t *testing.T) {
	t.Parallel()
	f := startFake(t, orderA, orderSRV, "other.example. 1 IN A 192.0.2.7")
	dir := t.TempDir()
	l := start(t, localdns.Config{Dir: dir})
	l.Learn([]string{f.addr, "nonsense"}, []string{"muster.internal.", "example.test", ".", "com"})
	if got := brief(l.ask(order, dns.TypeA)); got != "NOERROR 192.0.2.1" {
		t.Fatalf("answer = %s", got)
	}
	eventually(t, "the snapshot", func() bool { _, err := os.Stat(filepath.Join(dir, localdns.SnapshotName)); return err == nil })
	l.stop()
	if info, err := os.Stat(filepath.Join(dir, localdns.SnapshotName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the snapshot is %v, %v; want mode 0600", info.Mode(), err)
	}

	f.deaf.Store(true)
	up := startFake(t, "www.example.org. 5 IN A 198.51.100.1")
	l = start(t, localdns.Config{Dir: dir, Upstreams: []string{up.addr}})
	eventually(t, "a stale answer", func() bool { return brief(l.ask(order, dns.TypeA)) == "NOERROR 192.0.2.1 ede=3" })
	if got := brief(l.ask("x.example.test.", dns.TypeA)); !strings.HasPrefix(got, "SERVFAIL ede=") {
		t.Errorf("a name of a zone learned before = %s, want SERVFAIL", got)
	}
	for _, q := range up.names() {
		if strings.Contains(q, "muster.internal") || strings.Contains(q, "example.test") {
			t.Errorf("the upstream was asked for %s", q)
		}
	}
}

func TestDamagedSnapshotIsPutAside(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"empty": "", "cut off": string(localdns.SampleSnapshot()[:60]), "garbage": strings.Repeat("x", 9<<20)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, localdns.SnapshotName), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			l := start(t, localdns.Config{Dir: dir})
			if got := brief(l.ask(order, dns.TypeA)); got != "SERVFAIL ede=14" {
				t.Errorf("answer = %s, want SERVFAIL", got)
			}
			if _, err := os.Stat(filepath.Join(dir, localdns.BrokenName)); err != nil {
				t.Errorf("the damaged file: %v, want it put aside", err)
			}
		})
	}
}

func TestAgeOfKeptAnswers(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]bool{10 * time.Second: true, 2 * time.Minute: false, -24 * time.Hour: false} {
		if got, err := localdns.FreshFromSnapshot(after); got != want || err != nil {
			t.Errorf("an answer of a minute, %v after it was given, is fresh = %v, %v; want %v", after, got, err, want)
		}
	}
}

// Neither is waited for or followed, and the start goes on.
func TestSnapshotThatIsNoFile(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(path string) error{
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link":      func(path string) error { return os.Symlink("elsewhere", path) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"not to be put aside": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("garbage"), 0o600), os.MkdirAll(filepath.Join(filepath.Dir(path), localdns.BrokenName, "full"), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "elsewhere"), localdns.SampleSnapshot(), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := plant(filepath.Join(dir, localdns.SnapshotName)); err != nil {
				t.Fatal(err)
			}
			l := start(t, localdns.Config{Dir: dir})
			if got := brief(l.ask(order, dns.TypeA)); got != "SERVFAIL ede=14" {
				t.Errorf("answer = %s, want SERVFAIL: nothing is known", got)
			}
		})
	}
}

func FuzzSnapshot(f *testing.F) {
	sample := localdns.SampleSnapshot()
	f.Add(sample, false)
	f.Add(sample[len(sample)-80:], true)
	f.Add([]byte{0, 0, 1, 2, 1, 0, 0}, true)
	f.Fuzz(func(t *testing.T, file []byte, seal bool) {
		if seal {
			file = localdns.SealSnapshot(file)
		}
		n, zones, servers, again, err := localdns.DecodeSnapshot(file)
		if err != nil {
			return
		}
		n2, zones2, servers2, _, err := localdns.DecodeSnapshot(again)
		if err != nil || n2 != n || zones2 != zones || servers2 != servers {
			t.Errorf("what was read is written as %d, %d, %d, %v; want %d, %d, %d", n2, zones2, servers2, err, n, zones, servers)
		}
	})
}
