package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/audit"
)

// running runs a log with a sink until the returned function is called.
func running(t *testing.T, s *audit.Sink) (l *audit.Log, stop func()) {
	t.Helper()
	l = open(t, audit.Config{Dir: t.TempDir(), Server: "s1", Sinks: []*audit.Sink{s}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l, stop
}

// message is one of RFC 5424: priority, version, time, host, program, process, kind, no
// structured data, and the text.
var message = regexp.MustCompile(`^<(110|109)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]+ muster \d+ audit - (\{.*\})$`)

// shown returns the operation and name of the record in a message.
func shown(t *testing.T, m string) string {
	t.Helper()
	parts := message.FindStringSubmatch(m)
	if parts == nil {
		t.Fatalf("%q is no message", m)
	}
	r, err := audit.Parse([]byte(parts[2]))
	if err != nil {
		t.Fatalf("%q: %v", m, err)
	}
	if (parts[1] == "110") != (r.Result == audit.Done) {
		t.Errorf("%q has the priority %s", m, parts[1])
	}
	return strings.TrimSpace(r.Op + " " + r.Name)
}

func TestSyslogTakesDatagrams(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			at, address := "127.0.0.1:0", ""
			if network == "unixgram" {
				at = filepath.Join(t.TempDir(), "log")
				address = "unix://" + at
			}
			in, err := (&net.ListenConfig{}).ListenPacket(t.Context(), network, at)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if network == "udp" {
				address = "udp://" + in.LocalAddr().String()
			}
			s, err := audit.Syslog(address)
			if err != nil {
				t.Fatal(err)
			}
			l, stop := running(t, s)
			l.Append(done("one"))
			l.Append(audit.Event{Op: "put-service", Name: "two", Result: audit.Refused})
			stop()
			buffer := make([]byte, 64<<10)
			for _, want := range []string{"audit-begin s1", "put-service one", "put-service two", "audit-end"} {
				_ = in.SetReadDeadline(time.Now().Add(time.Minute))
				n, _, err := in.ReadFrom(buffer)
				if err != nil {
					t.Fatal(err)
				}
				if got := shown(t, string(buffer[:n])); got != want {
					t.Errorf("message = %q, want %q", got, want)
				}
			}
		})
	}
}

func TestSyslogOverTCP(t *testing.T) {
	in, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	s, err := audit.Syslog("tcp://" + in.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l, stop := running(t, s)
	// expect takes a connection and reads from it, and closes it then.
	expect := func(wants ...string) {
		t.Helper()
		conn, err := in.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for _, want := range wants {
			var length int
			if _, err := fmt.Fscanf(r, "%d ", &length); err != nil {
				t.Fatal(err)
			}
			text := make([]byte, length)
			if _, err := io.ReadFull(r, text); err != nil {
				t.Fatal(err)
			}
			if got := shown(t, string(text)); got != want {
				t.Errorf("message = %q, want %q", got, want)
			}
		}
	}
	l.Append(done("one"))
	expect("audit-begin s1", "put-service one")
	l.Append(done("two")) // over a new connection, as the other end has closed the old one
	expect("put-service two")
	stop()
}

func TestWebhook(t *testing.T) {
	var mu sync.Mutex
	var got []string
	calls := 0
	all := make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls <= 2 { // what was not taken comes again
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-ndjson" || r.Header.Get("Authorization") != "Bearer x" {
			t.Errorf("%s with %v", r.Method, r.Header)
		}
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			record, err := audit.Parse(lines.Bytes())
			if err != nil {
				t.Errorf("%q: %v", lines.Text(), err)
			}
			got = append(got, fmt.Sprint(record.Seq))
			if record.Op == audit.OpEnd {
				close(all)
			}
		}
	}))
	defer hook.Close()
	s, err := audit.Webhook(audit.WebhookConfig{URL: hook.URL, Headers: map[string]string{"Authorization": "Bearer x"}})
	if err != nil {
		t.Fatal(err)
	}
	l, stop := running(t, s)
	var want []string
	for i := range 600 {
		l.Append(done(fmt.Sprint(i)))
	}
	for i := range 602 {
		want = append(want, fmt.Sprint(i+1))
	}
	for taken := 0; taken < 601; { // the end would try once more alone
		mu.Lock()
		taken = len(got)
		mu.Unlock()
		<-time.After(5 * time.Millisecond)
	}
	stop()
	<-all
	mu.Lock()
	defer mu.Unlock()
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("taken = %v, want each record once, in order", got)
	}
}

func TestWebhookCallsNobodyElse(t *testing.T) {
	called := make(chan string, 10)
	inner := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { called <- r.URL.Path }))
	defer inner.Close()
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called <- "outer"
		http.Redirect(w, r, inner.URL+"/secret", http.StatusTemporaryRedirect)
	}))
	defer outer.Close()
	for _, tc := range []struct {
		name, url string
		refusal   func(netip.AddrPort) error
		want      string
	}{
		{"a redirect", outer.URL, nil, "outer"},
		{"an address that is refused", inner.URL, func(netip.AddrPort) error { return errors.New("no") }, ""},
		{"a name of an address that is refused", strings.Replace(inner.URL, "127.0.0.1", "localhost", 1), func(netip.AddrPort) error { return errors.New("no") }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := audit.Webhook(audit.WebhookConfig{URL: tc.url, Refusal: tc.refusal})
			if err != nil {
				t.Fatal(err)
			}
			l := open(t, audit.Config{Dir: t.TempDir(), Sinks: []*audit.Sink{s}})
			if err := l.Close(); err != nil { // which tries once
				t.Fatal(err)
			}
			got := ""
			select {
			case got = <-called:
			default:
			}
			if got != tc.want || len(called) > 0 {
				t.Errorf("called = %q and %d more, want %q", got, len(called), tc.want)
			}
		})
	}
}

// A place that takes nothing holds up nobody, and holds no more than its bound.
func TestSinkThatTakesNothing(t *testing.T) {
	s, err := audit.Syslog("unix://" + filepath.Join(t.TempDir(), "nobody"))
	if err != nil {
		t.Fatal(err)
	}
	l, stop := running(t, s)
	const n = audit.MaxWaiting + 100
	for i := range n {
		l.Append(done(fmt.Sprint(i)))
	}
	if waiting, dropped := audit.SinkStats(s); waiting > audit.MaxWaiting || dropped < 100 || uint64(waiting)+dropped > n+1 {
		t.Errorf("%d wait, %d were dropped, of %d", waiting, dropped, n+1)
	}
	stop()
}

func TestSinksThatCannotBe(t *testing.T) {
	for _, address := range []string{"", "localhost:514", "http://localhost:514", "udp://localhost", "udp://localhost:514/x", "unix://dev/log", "tcp://u@localhost:514", "unix:log", "%"} {
		if _, err := audit.Syslog(address); err == nil {
			t.Errorf("Syslog(%q) is none, want an error", address)
		}
	}
	for _, c := range []audit.WebhookConfig{{}, {URL: "ftp://example.org"}, {URL: "http://"}, {URL: "http://u:secret@%"},
		{URL: "http://example.org", Headers: map[string]string{"a b": "secret"}}, {URL: "http://example.org", Headers: map[string]string{"A": "secret\r\n"}}} {
		if _, err := audit.Webhook(c); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("Webhook(%v) = %v, want an error without what may be secret", c, err)
		}
	}
}
