// Package probes_test tries each kind of check at the server it is made for, as
// distributions ship it.
package probes_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/probe"
	"github.com/musterhq/muster/test/targets"
)

// expectation is a check and the start of the error it must fail with, "" if it
// must pass.
type expectation struct {
	name  string
	check probe.Check
	want  string
}

func TestServers(t *testing.T) {
	redis, nginx, mysql := targets.Redis(t), targets.Nginx(t, ""), targets.MySQL(t) // the last takes longest
	refused := targets.FreeAddress(t)
	db := func(user, password, command string) probe.Check {
		return probe.Check{MySQL: mysql.Address, User: user, Password: probe.Secret(password), Command: command}
	}
	cache := func(user, password string) probe.Check {
		return probe.Check{Redis: redis.Address, User: user, Password: probe.Secret(password)}
	}
	page := func(path string) probe.Check { return probe.Check{HTTP: "http://" + nginx.Address + path} }
	const readOnly = "show global variables where variable_name='read_only'"

	for _, s := range []struct {
		name    string
		server  targets.Server
		healthy probe.Check
		others  []expectation // in this order
	}{
		{"mysql", mysql, db("probe", "hunter2", ""), []expectation{
			{"another way to log in", db("modern", "hunter2", ""), ""},
			{"many rows", db("probe", "hunter2", "select seq from mysql.seq_1_to_100000"), ""},
			{"no rows", db("probe", "hunter2", "select 1 from dual where false"), ""},
			{"no result", db("probe", "hunter2", "do 1"), ""},
			{"a wrong password", db("probe", "hunter3", ""), "wrong password: Error 1045 (28000): Access denied for user 'probe'@"},
			{"no password", db("probe", "", ""), "wrong password: Error 1045"},
			{"another user", db("nobody", "hunter2", ""), "wrong password: Error 1045"},
			{"a wrong password another way", db("modern", "hunter3", ""), "wrong password: Error 1045"},
			{"a table that is not there", db("probe", "hunter2", "select * from mysql.nothing"), "wrong answer: Error 1146"},
			{"two commands", db("probe", "hunter2", "select 1; select 2"), "wrong answer: Error 1064"},
			{"a file of ours", db("probe", "hunter2", "load data local infile '/etc/passwd' into table mysql.user"), "wrong answer: "},
			{"read_only that is off", db("probe", "hunter2", readOnly), ""},
			{"turning it on", db("probe", "hunter2", "set global read_only=1"), ""},
			{"read_only that is on", db("probe", "hunter2", readOnly), "wrong answer: read_only is on"},
			{"read_only among others", db("probe", "hunter2", "show variables like '%read_only%'"), "wrong answer: read_only is on"},
			{"read_only as a number", db("probe", "hunter2", "SELECT @@GLOBAL.READ_ONLY"), "wrong answer: read_only is on"},
			{"another command while it is on", db("probe", "hunter2", ""), ""},
		}},
		{"redis", redis, cache("", "hunter2"), []expectation{
			{"a user", cache("probe", "hunter3"), ""},
			{"a wrong password", cache("", "hunter9"), "wrong password: WRONGPASS "},
			{"a wrong password of a user", cache("probe", "hunter2"), "wrong password: WRONGPASS "},
			{"no password", cache("", ""), "wrong password: NOAUTH "},
			{"a user who may do nothing", cache("mute", "hunter4"), "wrong answer: NOPERM "},
		}},
		{"http", nginx, page("/ok"), []expectation{
			{"another status", page("/busy"), "wrong answer: status 503 Service Unavailable"},
			{"a redirect", page("/moved"), "wrong answer: status 301 Moved Permanently"},
			{"nothing", page("/closes"), "wrong answer: the connection was closed"},
			{"a password", probe.Check{HTTP: "http://probe:hunter2@" + nginx.Address + "/secret"}, ""},
			{"a wrong password", probe.Check{HTTP: "http://probe:hunter3@" + nginx.Address + "/secret"}, "wrong password: status 401 Unauthorized"},
			{"no password", page("/secret"), "wrong password: status 401"},
			{"no TLS", probe.Check{HTTP: "https://" + nginx.Address + "/ok"}, "wrong answer: tls: first record does not look like a TLS handshake"},
		}},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.server.Listens(t)
			expect(t, expectation{"healthy", s.healthy, ""})
			for _, e := range s.others {
				expect(t, e)
			}
			t.Run("refused", func(t *testing.T) {
				nobody := s.healthy
				for _, target := range []*string{&nobody.MySQL, &nobody.Redis, &nobody.HTTP} {
					*target = strings.Replace(*target, s.server.Address, refused, 1)
				}
				expect(t, expectation{"nobody", nobody, "refused: dial tcp " + refused})
			})
			t.Run("the server of another kind", func(t *testing.T) {
				for _, other := range []probe.Check{{MySQL: s.server.Address}, {Redis: s.server.Address}, {HTTP: "http://" + s.server.Address}, {GRPC: s.server.Address}} {
					if kind, _, _ := strings.Cut(other.String(), " "); kind != s.name {
						fails(t, other)
					}
				}
			})
			t.Run("hanging", func(t *testing.T) { hangs(t, s.server, s.healthy) })
		})
	}
}

func expect(t *testing.T, e expectation) {
	t.Helper()
	err := try(t.Context(), e.check)
	switch {
	case e.want == "" && err != nil:
		t.Errorf("%s: Probe of %v = %v, want nil", e.name, e.check, err)
	case e.want != "" && (err == nil || !strings.HasPrefix(err.Error(), e.want)):
		t.Errorf("%s: Probe of %v = %v, want %q", e.name, e.check, err, e.want)
	case err != nil && strings.Contains(err.Error(), "hunter"):
		t.Errorf("%s: %v shows a password", e.name, err)
	}
}

// fails tries a check of one kind at a server of another.
func fails(t *testing.T, c probe.Check) {
	t.Helper()
	p, err := c.Prober()
	if err != nil {
		t.Fatal(err)
	}
	err = probe.Try(t.Context(), p, 300*time.Millisecond)
	if e, ok := errors.AsType[*probe.Error](err); !ok || e.Reason != probe.WrongAnswer && e.Reason != probe.NoAnswer {
		t.Errorf("Probe of %v = %v, want no answer or a wrong one", c, err)
	}
}

// hangs stops the server and lets it go on.
func hangs(t *testing.T, server targets.Server, c probe.Check) {
	t.Helper()
	p, err := c.Prober()
	if err != nil {
		t.Fatal(err)
	}
	server.Signal(syscall.SIGSTOP)
	err = probe.Try(t.Context(), p, 300*time.Millisecond)
	opens := try(t.Context(), probe.Check{TCP: server.Address})
	server.Signal(syscall.SIGCONT)
	if err == nil || err.Error() != "no answer in time: none within 300ms" {
		t.Errorf("Probe of a server that hangs = %v, want no answer in time", err)
	}
	if opens != nil {
		t.Errorf("its port = %v, want open: the system answers for it", opens)
	}
	if err := try(t.Context(), c); err != nil {
		t.Errorf("Probe of the server that goes on = %v, want nil", err)
	}
}

func try(ctx context.Context, c probe.Check) error {
	p, err := c.Prober()
	if err != nil {
		return err
	}
	return probe.Try(ctx, p, time.Duration(c.Timeout)+10*time.Second)
}
