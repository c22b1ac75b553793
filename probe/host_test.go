package probe_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/musterhq/muster/probe"
)

// wants fails the test unless a try of c fails with want in its error, or passes
// where that is empty.
func wants(t *testing.T, c probe.Check, want string) {
	t.Helper()
	err := within(t, c, 20*time.Second)
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("Probe of %v = %v, want %q", c, err, want)
	}
}

// datagrams answers each datagram with what answer makes of it, nil with none.
func datagrams(t *testing.T, answer func([]byte) []byte) (address string) {
	t.Helper()
	c, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if a := answer(b[:n]); a != nil {
				_, _ = c.WriteTo(a, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func TestUDP(t *testing.T) {
	echo := datagrams(t, func(b []byte) []byte { return append([]byte("<"), append(b, '>')...) })
	silent := datagrams(t, func([]byte) []byte { return nil })
	closed, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct {
		check probe.Check
		want  string
	}{
		{probe.Check{UDP: echo}, ""},
		{probe.Check{UDP: echo, ExpectAnswer: true}, ""},
		{probe.Check{UDP: echo, Contains: "<muster-check"}, ""},
		{probe.Check{UDP: echo, PayloadHex: "610062", Contains: "<a\x00b>"}, ""},
		{probe.Check{UDP: echo, Payload: "a.b", Matches: `^<a\.b>$`}, ""},
		{probe.Check{UDP: echo, Payload: "secret", Contains: "other"}, `wrong answer: 8 bytes that do not contain "other"`},
		{probe.Check{UDP: echo, Payload: strings.Repeat("a", 16<<10), Contains: strings.Repeat("a", 1000)}, ""},
		{probe.Check{UDP: silent}, ""},
		{probe.Check{UDP: closed.LocalAddr().String()}, "refused: "},
		{probe.Check{UDP: closed.LocalAddr().String(), ExpectAnswer: true}, "refused: "},
	} {
		wants(t, c.check, c.want)
	}
	if err := within(t, probe.Check{UDP: silent, ExpectAnswer: true}, 200*time.Millisecond); reason(err) != probe.NoAnswer {
		t.Errorf("silence where an answer is expected = %v, want %s", err, probe.NoAnswer)
	}
	if err := within(t, probe.Check{UDP: silent}, 200*time.Millisecond); err != nil {
		t.Errorf("silence = %v, want nil before the timeout", err)
	}
	guard, err := probe.NewGuard(probe.GuardConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := probe.Check{UDP: "169.254.169.254:53"}.Guarded(guard)
	if err != nil {
		t.Fatal(err)
	}
	if err := probe.Try(t.Context(), p, 20*time.Second); reason(err) != probe.NotAllowed {
		t.Errorf("a datagram to what is refused = %v, want %s", err, probe.NotAllowed)
	}
}

func TestHTTPBodies(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %s", r.Method, r.ContentLength, b)
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begin"+strings.Repeat("-", 120<<10)+"inside"+strings.Repeat("-", 10<<20)+"end")
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	for _, c := range []struct {
		check probe.Check
		want  string
	}{
		{probe.Check{HTTP: s.URL + "/echo", Method: "PUT", Payload: `{"a": 1}`, Contains: `PUT 8 {"a": 1}`}, ""},
		{probe.Check{HTTP: s.URL + "/echo", Method: "PURGE", Matches: `^PURGE 0 $`}, ""},
		{probe.Check{HTTP: s.URL + "/echo", Method: "POST", PayloadHex: "410042", Contains: "A\x00B"}, ""},
		{probe.Check{HTTP: s.URL + "/echo", Matches: `^POST`}, `wrong answer: status 200 OK, then: 6 bytes that do not match "^POST"`},
		{probe.Check{HTTP: s.URL + "/echo", Contains: "GET", Matches: "nothing"}, "do not match"},
		{probe.Check{HTTP: s.URL + "/long", Contains: "inside", Matches: "^begin"}, ""},
		{probe.Check{HTTP: s.URL + "/long", Contains: "end"}, "do not contain"},
		{probe.Check{HTTP: s.URL + "/long"}, ""},
		{probe.Check{HTTP: s.URL + "/none", Contains: "404"}, "wrong answer: status 404 Not Found"},
		{probe.Check{HTTP: s.URL + "/none", Contains: "404", Expect: []int{404}}, ""},
	} {
		wants(t, c.check, c.want)
	}
}

// issue makes a certificate for name of the authority, one of its own where that
// is nil, and writes it and its key to files.
func issue(t *testing.T, dir, name string, authority *tls.Certificate) (tls.Certificate, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        authority == nil, BasicConstraintsValid: true,
	}
	parent, by := template, any(key)
	if authority != nil {
		parent, by = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	k := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	cert, err := tls.X509KeyPair(c, k)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	if err := errors.Join(os.WriteFile(certFile, c, 0o600), os.WriteFile(keyFile, k, 0o600)); err != nil {
		t.Fatal(err)
	}
	return cert, certFile, keyFile
}

func TestTLSFiles(t *testing.T) {
	dir := t.TempDir()
	ca, caFile, _ := issue(t, dir, "authority", nil)
	served, _, _ := issue(t, dir, "app.example.org", &ca)
	_, certFile, keyFile := issue(t, dir, "check", &ca)
	_, otherFile, _ := issue(t, dir, "stranger", nil)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	config := &tls.Config{Certificates: []tls.Certificate{served}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: tls.VersionTLS12}

	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = config
	s.StartTLS()
	defer s.Close()
	up := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	grpc_health_v1.RegisterHealthServer(up, health.NewServer())
	called := serveGRPC(t, up)
	cached, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer cached.Close()
	go func() {
		for c, err := cached.Accept(); err == nil; c, err = cached.Accept() {
			go func() {
				defer c.Close()
				b := make([]byte, 100)
				if _, err := c.Read(b); err == nil {
					_, _ = io.WriteString(c, "+PONG\r\n")
				}
			}()
		}
	}()

	whole := probe.Check{TLSServerName: "app.example.org", TLSCAFile: caFile, TLSCertFile: certFile, TLSKeyFile: keyFile}
	for _, target := range []func(c probe.Check) probe.Check{
		func(c probe.Check) probe.Check { c.HTTP = s.URL; return c },
		func(c probe.Check) probe.Check { c.GRPC, c.TLS = called, true; return c },
		func(c probe.Check) probe.Check { c.Redis, c.TLS = cached.Addr().String(), true; return c },
		func(c probe.Check) probe.Check { c.TCP, c.TLS = s.Listener.Addr().String(), true; return c },
	} {
		wants(t, target(whole), "")
		for want, change := range map[string]func(*probe.Check){
			"wrong answer: ":             func(c *probe.Check) { c.TLSCertFile, c.TLSKeyFile = "", "" },
			"app.example.org":            func(c *probe.Check) { c.TLSServerName = "other.example.org" },
			"unknown authority":          func(c *probe.Check) { c.TLSCAFile = otherFile },
			"not set up: ":               func(c *probe.Check) { c.TLSCAFile = filepath.Join(dir, "none") },
			"holds no certificate":       func(c *probe.Check) { c.TLSCAFile = keyFile },
			"is no file of at most":      func(c *probe.Check) { c.TLSCAFile = dir },
			"private key does not match": func(c *probe.Check) { c.TLSCertFile = otherFile },
		} {
			c := whole
			change(&c)
			wants(t, target(c), want)
		}
	}

	// What a file holds is taken up when it changes.
	c := whole
	c.TCP, c.TLS, c.TLSCAFile = s.Listener.Addr().String(), true, filepath.Join(dir, "changing.pem")
	p, err := c.Prober()
	if err != nil {
		t.Fatal(err)
	}
	for i, from := range []string{"", otherFile, caFile, otherFile} {
		if from != "" {
			b, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(c.TLSCAFile, append(b, strings.Repeat("\n", i)...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := probe.Try(t.Context(), p, 20*time.Second); (err == nil) != (from == caFile) {
			t.Errorf("Probe with %q = %v", from, err)
		}
	}
}

func TestExec(t *testing.T) {
	t.Setenv("MUSTER_TOKEN", "hunter2")
	sh := func(script string) probe.Check { return probe.Check{Exec: []string{"/bin/sh", "-c", script}} }
	for _, c := range []struct {
		check probe.Check
		want  string
	}{
		{sh("exit 0"), ""},
		{sh("echo why; exit 1"), "wrong answer: /bin/sh: exit status 1: why"},
		{sh("exit 2"), "wrong answer: /bin/sh: exit status 2"},
		{sh("kill -9 $$"), "wrong answer: /bin/sh: signal: killed"},
		{sh(`test -z "$MUSTER_TOKEN"`), ""},
		{probe.Check{Exec: []string{"true", "$(exit 1)"}}, ""},
		{probe.Check{Exec: []string{"/nowhere/check"}}, "not set up: /nowhere/check: "},
		{probe.Check{Exec: []string{"a-check-that-is-not-there"}}, "not set up: "},
	} {
		wants(t, c.check, c.want)
	}
	if err := within(t, sh("sleep 1000"), 100*time.Millisecond); reason(err) != probe.NoAnswer {
		t.Errorf("Probe = %v, want %s", err, probe.NoAnswer)
	}
	var shown strings.Builder
	err := within(t, sh("echo hunter2; exit 1"), 20*time.Second)
	slog.New(slog.NewTextHandler(&shown, nil)).Info("check", "err", err)
	if !strings.Contains(err.Error(), "hunter2") || strings.Contains(shown.String(), "hunter2") || !strings.Contains(shown.String(), "exit status 1") {
		t.Errorf("error %q, logged as %q: want what was printed in the first alone", err, &shown)
	}
}

func TestProcess(t *testing.T) {
	program := filepath.Join(t.TempDir(), "a-program-with-a-long-name")
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(content string) string {
		f, err := os.CreateTemp(dir, "pid")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(content); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	own := file(fmt.Sprintf(" %d \nrest", cmd.Process.Pid))
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	base := filepath.Base(program)
	runs := []probe.Check{
		{Process: base}, {Process: program}, {PIDFile: own}, {PIDFile: own, Process: base}, {PIDFile: own, Process: program},
	}
	for _, c := range runs {
		wants(t, c, "")
	}
	for want, c := range map[string]probe.Check{
		`wrong answer: no process of "a-program-wi"`: {Process: "a-program-wi"},
		`no process of "/usr/bin/` + base:            {Process: "/usr/bin/" + base},
		"does not exist":                             {PIDFile: filepath.Join(dir, "none")},
		"holds no process id":                        {PIDFile: file("x")},
		"no process 4194305":                         {PIDFile: file("4194305")},
		`is not of "other"`:                          {PIDFile: own, Process: "other"},
		"no regular file":                            {PIDFile: fifo},
	} {
		wants(t, c, want)
	}
	for _, content := range []string{"", "0", "-1", "99999999999999999999", strings.Repeat("1", 100), "\x00"} {
		wants(t, probe.Check{PIDFile: file(content)}, "holds no process id")
	}
	// It is a zombie until it is waited for.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for _, c := range runs {
		for within(t, c, 20*time.Second) == nil {
			if time.Now().After(deadline) {
				t.Fatalf("%v still passes", c)
			}
		}
	}
	_ = cmd.Wait()
	for _, c := range runs {
		if err := within(t, c, 20*time.Second); reason(err) != probe.WrongAnswer {
			t.Errorf("Probe of %v = %v, want %s", c, err, probe.WrongAnswer)
		}
	}
}

func TestSystemd(t *testing.T) {
	bin, booted := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	says := func(script string) {
		if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for script, want := range map[string]string{
		`[ "$*" = "show --property=LoadState,ActiveState,SubState -- a.service" ] && echo ActiveState=active`: "",
		"printf 'LoadState=loaded\\nActiveState=reloading\\nSubState=reload\\n'":                              "",
		"printf 'LoadState=loaded\\nActiveState=failed\\nSubState=failed\\n'":                                 "wrong answer: unit a.service is failed (failed)",
		"printf 'LoadState=not-found\\nActiveState=inactive\\nSubState=dead\\n'":                              "wrong answer: there is no unit a.service",
		"echo Failed to connect to bus >&2; exit 1":                                                           "not set up: systemctl: exit status 1: Failed to connect to bus",
		"echo what": "not set up: systemctl does not tell",
	} {
		says(script)
		err := probe.Try(t.Context(), probe.Systemd("a.service", booted), 20*time.Second)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("Probe where systemctl says %q = %v, want %q", script, err, want)
		}
	}
	err := probe.Try(t.Context(), probe.Systemd("a.service", filepath.Join(booted, "none")), 20*time.Second)
	if err == nil || err.Error() != "not set up: systemd does not run on this host" {
		t.Errorf("Probe without systemd = %v", err)
	}
}

// TestProgramsAtOnce bounds how many programs checks run at once, beside all others.
func TestProgramsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, together := runner(t, probe.RunnerConfig{AtOnce: 50, CommandsAtOnce: 3}), &crowd{}
		for range 20 {
			r.Loop(probe.Program{Prober: &one{target{takes: time.Second}, together}}, probe.LoopConfig{Timeout: 2 * time.Second})
		}
		p := &target{}
		r.Loop(p, probe.LoopConfig{})
		synctest.Wait()
		if p.count() != 1 {
			t.Error("a check that runs no program waits for those that do")
		}
		time.Sleep(time.Minute)
		together.mu.Lock()
		defer together.mu.Unlock()
		if together.most != 3 {
			t.Errorf("most at once = %d, want 3", together.most)
		}
	})
}

// FuzzMatch looks in any answer for any text: the error never shows the answer.
func FuzzMatch(f *testing.F) {
	f.Add([]byte(`{"status": "ok"}`), "ok", `"status": *"(ok|degraded)"`)
	f.Add([]byte("\xff\x00"), "", "(?i)a{1,100}$")
	f.Fuzz(func(t *testing.T, answer []byte, contains, matches string) {
		err, invalid := probe.Match(contains, matches, append([]byte("hunter2"), answer...))
		if invalid != nil {
			return
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") && !strings.Contains(contains+matches, "hunter2") {
			t.Errorf("error %q shows the answer", err)
		}
		if contains == "" && matches == "" && err != nil {
			t.Errorf("an answer that may be anything = %v", err)
		}
	})
}

// FuzzProc reads what a program may make of its name, and anybody of a file.
func FuzzProc(f *testing.F) {
	f.Add([]byte("sh"))
	f.Add([]byte("a) Z 1 (b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		state, comm := probe.ParseStat([]byte("7 (" + string(b) + ") S 1 7 7 0 -1"))
		if state != 'S' || comm != string(b) {
			t.Errorf("a process called %q is %c %q", b, state, comm)
		}
		probe.ParseStat(b)
		if pid, err := probe.ParsePID(b); err == nil && pid <= 0 {
			t.Errorf("process id of %q = %d", b, pid)
		}
		_ = probe.UnitState("a.service", string(b))
	})
}
