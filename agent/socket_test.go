package agent_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/client"
)

// overSocket sends a request over the agent's socket as the user with that number,
// -1 for this one, and returns status and body.
func (r *running) overSocket(uid int, method, path, body string) (int, string) {
	r.t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if uid < 0 {
			return new(net.Dialer).DialContext(ctx, "unix", r.Status().Socket)
		}
		return dialAs(uid, r.Status().Socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://agent.example.org"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// dialAs connects as another user, which takes root: a thread of its own becomes
// that user for as long as it connects.
func dialAs(uid int, path string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and is thrown away with its thread
		var fd int
		if fd, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		const asIs = ^uintptr(0)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, asIs, uintptr(uid), asIs); errno != 0 {
			err = errno
			return
		}
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0) // the way there is root's
		if err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err == nil {
			conn, err = net.FileConn(f)
		}
	}()
	<-done
	return conn, err
}

func TestSocketRegistrationsBelongToTheirUser(t *testing.T) {
	h := newHost(t)
	h.cfg.Stay = true
	a := h.start()
	want := func(status int, body string, code int, text string) {
		t.Helper()
		if status != code || !strings.Contains(body, text) {
			t.Errorf("answer = %d %s, want %d with %q", status, body, code, text)
		}
	}
	call := func(uid int, method, path, body string) (int, string) {
		t.Helper()
		if uid < 0 {
			status, _, answer := a.call(method, path, body)
			return status, answer
		}
		return a.overSocket(uid, method, path, body)
	}
	own := func(method, path, body string) (int, string) { t.Helper(); return a.overSocket(-1, method, path, body) }

	status, body := own("PUT", "/v1/services/mine", `{"port": 80}`)
	want(status, body, 201, `"service":"mine"`)
	// Over TCP nothing is known of who calls.
	status, body = call(-1, "PUT", "/v1/services/mine", `{"port": 81}`)
	want(status, body, 403, "another user")
	status, body = call(-1, "DELETE", "/v1/services/mine", "")
	want(status, body, 403, "another user")
	status, body = call(-1, "PUT", "/v1/services/anybodys", `{"port": 90}`)
	want(status, body, 201, "anybodys")
	status, body = own("PUT", "/v1/services/anybodys", `{"port": 91}`)
	want(status, body, 200, "anybodys")
	h.holds("anybodys:91=passing", "mine:80=passing")

	if os.Geteuid() == 0 {
		status, body = call(1001, "PUT", "/v1/services/theirs", `{"port": 70}`)
		want(status, body, 201, "theirs")
		a.stop()
		a = h.start() // whose it is, is kept
		for _, uid := range []int{1002, -1} {
			status, body = call(uid, "PUT", "/v1/services/theirs", `{"port": 71}`)
			want(status, body, 403, "another user")
			status, body = call(uid, "DELETE", "/v1/services/theirs", "")
			want(status, body, 403, "another user")
		}
		status, body = call(1001, "PUT", "/v1/services/theirs", `{"port": 72}`)
		want(status, body, 200, "theirs")
		status, body = call(0, "PUT", "/v1/services/theirs", `{"port": 73}`)
		want(status, body, 200, "theirs")
		status, body = call(1001, "DELETE", "/v1/services/theirs", "") // root's change left it theirs
		want(status, body, 204, "")

		// What a user says of a service is of his own instances, not of those that others
		// declare of it later.
		status, body = call(1001, "PUT", "/v1/services/hers", `{"name": "shared", "port": 60}`)
		want(status, body, 201, "shared")
		status, body = call(1001, "PUT", "/v1/services/shared/maintenance", "")
		want(status, body, 200, "127.0.0.1:60")
		status, body = call(1002, "PUT", "/v1/services/his", `{"name": "shared", "port": 61}`)
		if want(status, body, 201, "shared"); strings.Contains(body, "maintenance") {
			t.Errorf("an instance of another user is under maintenance: %s", body)
		}
		status, body = call(1001, "GET", "/v1/services/hers", "")
		want(status, body, 200, `"maintenance":{"origin":"app hers"`)
		status, body = call(1002, "DELETE", "/v1/services/hers/maintenance", "")
		want(status, body, 403, "another user")
		status, body = call(1001, "DELETE", "/v1/services/shared/maintenance", "")
		want(status, body, 403, "another user")
		status, body = call(1001, "DELETE", "/v1/services/hers/maintenance", "")
		want(status, body, 200, "127.0.0.1:60")
		status, body = call(1001, "GET", "/v1/services/hers", "")
		if want(status, body, 200, "hers"); strings.Contains(body, "maintenance") {
			t.Errorf("maintenance holds after its end: %s", body)
		}
	}
	status, body = own("DELETE", "/v1/services/mine", "")
	want(status, body, 204, "")
}

func TestSocketFile(t *testing.T) {
	h := newHost(t)
	path := filepath.Join(t.TempDir(), "a.sock")
	h.cfg.Socket, h.cfg.SocketMode = path, "0600"

	// Dead agents have left one, and one that had no name of its own yet.
	leaveSocket(t, path)
	staged := filepath.Join(filepath.Dir(path), ".muster-67a8e1c6")
	leaveSocket(t, staged)
	a := h.start()
	if _, err := os.Lstat(staged); !os.IsNotExist(err) {
		t.Errorf("what was left staged after the start: %v, want it gone", err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("socket = %v, %v, want mode 0600", info, err)
	}
	if status, body := a.overSocket(-1, "GET", "/livez", ""); status != 200 {
		t.Errorf("GET /livez = %d %s, want 200", status, body)
	}
	b, err := os.ReadFile(filepath.Join(h.cfg.DataDir, "addresses.json"))
	if err != nil || !strings.Contains(string(b), fmt.Sprintf("%q", path)) {
		t.Errorf("addresses.json = %s, %v, want the socket", b, err)
	}

	other := newHost(t)
	other.cfg.Socket = path
	if err := other.fails(); err == nil || !strings.Contains(err.Error(), "listens there already") {
		t.Errorf("a second agent at the socket: %v, want that somebody listens there", err)
	}
	a.stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("socket after the stop: %v, want it gone", err)
	}

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := other.fails(); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("an agent where a file is: %v, want that it is no socket", err)
	}
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file = %q, %v, want it untouched", b, err)
	}
	other.cfg.Socket = filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := other.fails(); err == nil || !strings.Contains(err.Error(), "107") {
		t.Errorf("a path that is too long: %v, want the bound", err)
	}
	other.cfg.Socket = "none"
	if s := other.start().Status().Socket; s != "" {
		t.Errorf("socket = %s, want none", s)
	}
}

// leaveSocket leaves a socket at which nobody listens any more.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}

// fails runs an agent that cannot run and returns why.
func (h *host) fails() error {
	h.t.Helper()
	a, err := agent.New(h.cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	return a.Run(ctx)
}

func TestServiceHealth(t *testing.T) {
	h := newHost(t)
	port, kill := app(t)
	h.define("a.yaml", fmt.Sprintf(`
services:
  - {name: two, port: 80}
  - {name: two, port: %d, checks: [{tcp: 127.0.0.1:%[1]d, interval: 20ms, timeout: 10s}]}
  - {name: one, port: %[1]d, group: G, checks: [{tcp: 127.0.0.1:%[1]d, interval: 20ms, timeout: 10s}]}
`, port))
	a := h.start()
	is := func(path string, want int, texts ...string) {
		t.Helper()
		eventually(t, func() string {
			status, _, body := a.call("GET", path, "")
			for _, text := range texts {
				if !strings.Contains(body, text) {
					return fmt.Sprintf("GET %s = %d %s, want %q in it", path, status, body, text)
				}
			}
			if status != want {
				return fmt.Sprintf("GET %s = %d %s, want %d", path, status, body, want)
			}
			return ""
		})
	}
	is("/v1/services/two/health", 200, `"status":"passing"`)
	is("/v1/services/one/health", 200, `"status":"passing"`)
	kill()
	is("/v1/services/two/health", 429, `"status":"warning"`)
	is("/v1/services/one/health", 503, `"status":"critical"`)
	is("/v1/health", 429, `"status":"warning"`)
	is("/v1/health?group=G", 503, `"status":"critical"`)
	is("/v1/services/none/health", 404, "none")
	is("/v1/services/one/health?group=H", 404, "one")
	is("/v1/services?health=critical&group=G", 200, `"service":"one"`)
	is("/v1/services/two", 200, `"port":80`)
	is("/v1/services?helth=critical", 400, "query.helth")
	is("/v1/services?group=G&group=H", 400, "more than once")
}

func TestEventStream(t *testing.T) {
	h := newHost(t)
	h.cfg.Files = []configfile.File{{DataID: "app.yaml"}}
	h.server.edit(func() { h.server.docs["public/DEFAULT_GROUP/app.yaml"] = "password: hunter2" })
	h.define("a.yaml", "services: [{name: one, port: 80}]")
	a := h.start()
	h.holds("one:80=passing")
	req, err := http.NewRequestWithContext(t.Context(), "GET", a.url+"/v1/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	var all strings.Builder
	until := func(kind string, texts ...string) {
		t.Helper()
		last := ""
	scan:
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
			if e, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				last = e
				continue
			}
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok || last != kind {
				continue
			}
			for _, text := range texts {
				if !strings.Contains(data, text) {
					continue scan
				}
			}
			return
		}
		t.Fatalf("stream ended (%v) without %s %q:\n%s", lines.Err(), kind, texts, all.String())
	}
	until("reset")
	until("instance", `"service":"one"`, `"health":"passing"`)
	until("synced")
	h.define("b.yaml", "services: [{name: two, port: 81}]")
	until("instance", `"service":"two"`)
	h.define("b.yaml", "services: []")
	until("gone", `"service":"two"`, `"port":81`)
	h.server.edit(func() { h.server.docs["public/DEFAULT_GROUP/app.yaml"] = "password: hunter3" })
	until("config", `"dataId":"app.yaml"`, client.Digest([]byte("password: hunter3")))
	a.ask()
	until("end", "stopping")
	if strings.Contains(all.String(), "hunter") {
		t.Errorf("the stream tells contents:\n%s", all.String())
	}
	a.stop()
}

func TestConfigLongPoll(t *testing.T) {
	h := newHost(t)
	h.cfg.Files = []configfile.File{{DataID: "app.yaml"}}
	a := h.start()
	const at = "/v1/configs/public/DEFAULT_GROUP/app.yaml"
	got := make(chan string, 1)
	poll := func(known string) {
		go func() {
			status, header, body := a.call("GET", at+"?wait=1m", "", "If-None-Match", known)
			got <- fmt.Sprintf("%d %s %s", status, header.Get("ETag"), body)
		}()
	}
	eventually(t, func() string {
		_, _, body := a.call("GET", at, "")
		if !strings.Contains(body, "does not exist") {
			return "GET = " + body
		}
		return ""
	})
	poll(`""`) // knows that there is none
	h.server.edit(func() { h.server.docs["public/DEFAULT_GROUP/app.yaml"] = "a: 1" })
	tag := `"` + client.Digest([]byte("a: 1")) + `"`
	if g := <-got; g != "200 "+tag+" a: 1" {
		t.Errorf("poll of who knows nothing = %s, want the document", g)
	}
	poll(tag)
	h.server.edit(func() { h.server.docs["public/DEFAULT_GROUP/app.yaml"] = "a: 2" })
	if g := <-got; g != `200 "`+client.Digest([]byte("a: 2"))+`" a: 2` {
		t.Errorf("poll = %s, want the new document", g)
	}
	for wait, want := range map[string]int{"0": 200, "1ms": 200, "-1s": 400, "1h": 400, "soon": 400, "99999999999": 400} {
		if status, _, body := a.call("GET", at+"?wait="+wait, ""); status != want {
			t.Errorf("GET with wait %s = %d %s, want %d", wait, status, body, want)
		}
	}
	tag = `"` + client.Digest([]byte("a: 2")) + `"`
	if status, _, _ := a.call("GET", at+"?wait=1ms", "", "If-None-Match", tag); status != 304 {
		t.Errorf("poll that nothing came to = %d, want 304", status)
	}
}

// Who holds connections open keeps nobody out.
func TestCrowdOfConnections(t *testing.T) {
	h := newHost(t)
	a := h.start()
	crowd := make([]net.Conn, 0, 1500)
	defer func() {
		for _, c := range crowd {
			c.Close()
		}
	}()
	for range cap(crowd) {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, c)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", a.url+"/livez", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatalf("GET /livez beside %d connections: %v", len(crowd), err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("GET /livez = %d, want 200", resp.StatusCode)
	}
	if status, body := a.overSocket(-1, "GET", "/livez", ""); status != 200 {
		t.Errorf("GET /livez over the socket = %d %s, want 200", status, body)
	}
}
