package checks_test

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/test/targets"
)

const (
	fall = 3
	rise = 2
)

// often returns a check that is made every second.
func often(c api.HealthCheck) api.HealthCheck {
	c.Interval, c.Fall, c.Rise = 1000, fall, rise
	return c
}

// target is a server with the check that it passes.
type target struct {
	targets.Server

	other        targets.Server  // of another kind
	answer       string          // how a try fails there
	check, wrong api.HealthCheck // wrong: with another password
}

// What stands at a server changes with it, when the threshold is reached and not
// before, whatever happens to it. All of it happens to all of them at once.
func TestServers(t *testing.T) {
	t.Parallel()
	h := open(t)
	redis, nginx := targets.Redis(t), targets.Nginx(t, "")
	all := map[string]target{ // nginx waits for what a client of MySQL has to say, which waits too
		"mysql": {targets.MySQL(t), nginx, "no answer in time", api.HealthCheck{User: "probe", Password: "hunter2", Command: "show databases"}, api.HealthCheck{User: "probe", Password: "hunter9"}},
		"redis": {redis, nginx, "wrong answer", api.HealthCheck{Password: "hunter2"}, api.HealthCheck{User: "probe", Password: "hunter9"}},
		"http":  {nginx, redis, "wrong answer", api.HealthCheck{Path: "/asks?x=1", Headers: map[string]string{"Probe": "yes"}, Expect: []int{204}}, api.HealthCheck{Path: "/secret"}},
		"grpc":  {startGRPC(t), nginx, "wrong answer", api.HealthCheck{Service: "up"}, api.HealthCheck{}},
	}
	for kind, s := range all {
		s.check.Kind, s.wrong.Kind = kind, kind
		all[kind] = s
		s.Listens(t)
		h.register(kind, s.Address, often(s.check))
	}
	// flips has something happen to all, and returns what is to come of it.
	flips := func(healthy bool, happens func(target)) (f []flip) {
		for kind := range all {
			if healthy {
				f = append(f, h.flip(kind, kind, true, rise, passing))
			} else {
				f = append(f, h.flip(kind, kind, false, fall, failing))
			}
		}
		for _, s := range all {
			happens(s)
		}
		return f
	}
	stay(t, flips(true, func(target) {})...)

	come(t, "killed", flips(false, func(s target) { s.Kill() })...)
	for kind := range all {
		h.outcome(t, kind, "refused")
	}
	come(t, "started again", flips(true, func(s target) { s.Restart() })...)
	come(t, "stopped", flips(false, func(s target) { s.Signal(syscall.SIGSTOP) })...)
	for kind := range all {
		h.outcome(t, kind, "no answer in time")
	}
	come(t, "going on", flips(true, func(s target) { s.Signal(syscall.SIGCONT) })...)

	// Another check begins anew, with what its owner declares.
	come(t, "another kind of server", flips(false, func(s target) {
		at := often(s.check)
		at.Port = portOf(t, s.other.Address)
		h.says(s.check.Kind, at)
		h.shows(s.check.Kind, true)
	})...)
	for kind, s := range all {
		h.outcome(t, kind, s.answer)
	}
	delete(all, "grpc") // knows no password
	come(t, "a wrong password", flips(false, func(s target) {
		h.says(s.check.Kind, often(s.wrong))
		h.shows(s.check.Kind, true)
	})...)
	for kind := range all {
		h.outcome(t, kind, "wrong password")
	}
}

// outcome demands that tries of a kind failed so.
func (h *house) outcome(t *testing.T, kind, want string) {
	t.Helper()
	if h.tries(kind, want) < fall-1 { // one may have been under way
		t.Errorf("%d tries of %s failed with %q", h.tries(kind, want), kind, want)
	}
}

func portOf(t testing.TB, address string) uint16 {
	t.Helper()
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return at.Port()
}

// A connection is all that a check by TCP wants: one that hangs has a backlog that is
// full, and a process that is stopped still has its system open connections.
func TestTCP(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := startGRPC(t)
	s.Listens(t)
	h.register("tcp", s.Address, often(api.HealthCheck{Kind: "tcp"}))
	stay(t, h.flip("tcp", "tcp", true, fall, passing))
	s.Signal(syscall.SIGSTOP)
	stay(t, h.flip("tcp", "tcp", true, fall, passing))
	s.Signal(syscall.SIGCONT)
	down := h.flip("tcp", "tcp", false, fall, failing)
	s.Kill()
	come(t, "killed", down)
	up := h.flip("tcp", "tcp", true, rise, passing)
	s.Restart()
	come(t, "started again", up)

	full := targets.Full(t)
	h.says("tcp", often(api.HealthCheck{Kind: "tcp", Port: portOf(t, full)}))
	come(t, "a full backlog", h.flip("tcp", "tcp", false, fall, failing))
	h.outcome(t, "tcp", "no answer in time")
}

// What Nacos says of a check is as good: three tries, five seconds apart.
func TestNacos(t *testing.T) {
	t.Parallel()
	h := open(t)
	mysql, nginx, nobody := targets.MySQL(t), targets.Nginx(t, ""), targets.FreeAddress(t)
	mysql.Listens(t)
	nginx.Listens(t)
	var failed, healthy []flip
	for _, c := range []struct{ service, checker, address, outcome string }{
		{"tcp", `{"type":"TCP"}`, nginx.Address, "passed"},
		{"tcp-refused", `{"type":"TCP"}`, nobody, "refused"},
		{"http", `{"type":"HTTP","path":"/asks","headers":"Probe:yes|X:y","expectedResponseCode":204}`, nginx.Address, "passed"},
		{"http-answer", `{"type":"HTTP","path":"/asks","expectedResponseCode":204}`, nginx.Address, "wrong answer"},
		{"http-refused", `{"type":"HTTP","path":"/ok"}`, nobody, "refused"},
		{"mysql", `{"type":"MYSQL","user":"probe","pwd":"hunter2","cmd":"show databases"}`, mysql.Address, "passed"},
		{"mysql-password", `{"type":"MYSQL","user":"probe","pwd":"hunter3","cmd":"show databases"}`, mysql.Address, "wrong password"},
		{"http-port", `{"type":"HTTP","path":"/ok"}`, nobody, "passed"},
		{"none", `{"type":"NONE"}`, nobody, ""},
	} {
		h.nacos("POST", "/nacos/v1/ns/service", url.Values{"serviceName": {c.service}})
		form := url.Values{"serviceName": {c.service}, "clusterName": {"DEFAULT"}, "checkPort": {"80"}, "useInstancePort4Check": {"true"}, "healthChecker": {c.checker}}
		if c.service == "http-port" {
			form.Set("useInstancePort4Check", "false")
			form.Set("checkPort", strconv.Itoa(int(portOf(t, nginx.Address))))
		}
		h.nacos("PUT", "/nacos/v1/ns/cluster", form)
		kind, _, _ := strings.Cut(c.service, "-")
		switch c.outcome {
		case "passed":
			healthy = append(healthy, h.flip(c.service, kind, true, 3, passing))
		case "":
		default:
			failed = append(failed, h.flip(c.service, kind, false, 3, []string{c.outcome}))
		}
		ip, port, _ := strings.Cut(c.address, ":")
		h.nacos("POST", "/nacos/v1/ns/instance", url.Values{"serviceName": {c.service}, "ip": {ip}, "port": {port}, "ephemeral": {"false"}})
	}
	come(t, "checks of Nacos", failed...)
	stay(t, healthy...)
	h.shows("none", true)
	for _, say := range []bool{false, true} {
		h.nacos("PUT", "/nacos/v1/ns/health/instance", url.Values{"serviceName": {"none"}, "ip": {"127.0.0.1"},
			"port": {strconv.Itoa(int(portOf(t, nobody)))}, "healthy": {strconv.FormatBool(say)}})
		h.shows("none", say)
	}
}

// nacos makes a call of Nacos that must succeed.
func (h *house) nacos(method, path string, form url.Values) {
	h.t.Helper()
	if status, body := h.call(method, path, form); status != 200 || body != "ok" {
		h.t.Fatalf("%s %s %v = %d %s, want ok", method, path, form, status, body)
	}
}
