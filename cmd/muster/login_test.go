package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/musterhq/muster/api"
)

// lock makes an etcd that was not started yet ask for certificates of an
// authority.
func (e *etcdProcess) lock(tb testing.TB, a *authority) {
	tb.Helper()
	metrics := freeURL(tb)
	cert, key := a.issue(tb, "etcd")
	secured := strings.Replace(e.url, "http:", "https:", 1)
	for i, arg := range e.args {
		if arg == e.url {
			e.args[i] = secured
		}
	}
	e.health, e.url = metrics, secured
	e.args = append(e.args, "--cert-file", cert, "--key-file", key, "--trusted-ca-file", a.File, "--client-cert-auth",
		"--listen-metrics-urls", metrics)
}

// addUser makes a user that may read and write what is Muster's, and has etcd ask
// everybody for a name and password.
func addUser(t *testing.T, conf clientv3.Config, name, password string) {
	t.Helper()
	c, err := clientv3.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const prefix, end = "/muster/1/", "/muster/10"
	for _, step := range []func() error{
		func() error { _, err := c.UserAdd(ctx, "root", "secret"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := c.UserAdd(ctx, name, password); return err },
		func() error { _, err := c.RoleAdd(ctx, "muster"); return err },
		func() error {
			_, err := c.RoleGrantPermission(ctx, "muster", prefix, end, clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := c.UserGrantRole(ctx, name, "muster"); return err },
		func() error { _, err := c.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExternalEtcdThatAsksWhoComes(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	etcd := newEtcd(t)
	etcd.lock(t, a)
	etcd.start()
	t.Cleanup(etcd.kill)
	certFile, keyFile := a.issue(t, "muster")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	addUser(t, clientv3.Config{Endpoints: []string{etcd.url}, Logger: zap.NewNop(),
		TLS: &tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{cert}}}, "muster", "right")
	args := []string{"--etcd", etcd.url, "--etcd-ca", a.File, "--etcd-cert", certFile, "--etcd-key", keyFile, "--etcd-user", "muster"}

	s := newServer(t, t.TempDir(), args...)
	s.env = []string{"MUSTER_ETCD_PASSWORD=right"}
	s.start()
	t.Cleanup(s.stop)
	s.persist("order-api", "10.0.0.1")
	if !isLocated(s.dns, "order-api", "0 1000 10.0.0.1:8080") {
		t.Error("SRV lacks what was registered")
	}
	t.Run("a backup is for root alone", func(t *testing.T) {
		path := t.TempDir() + "/muster.backup"
		code, out := command(t, "backup", path, "--server", s.url())
		if code == exitDone || !strings.Contains(out, "permission denied") {
			t.Errorf("muster backup = %d %q, want that permission is denied", code, out)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there", path)
		}
	})
	etcd.kill()
	etcd.start()
	eventually(t, time.Minute, "writes are taken by an etcd that was restarted", func() bool {
		status, _, err := request(http.MethodPost, s.url()+pathInstance, persistent("order-api", "10.0.0.2"))
		return err == nil && status == http.StatusOK
	})

	t.Run("a wrong password", func(t *testing.T) {
		isLeftOut(t, newServer(t, t.TempDir(), args...), "password")
	})
	t.Run("no certificate", func(t *testing.T) {
		isLeftOut(t, newServer(t, t.TempDir(), args[:4]...), "certificate")
	})
	t.Run("another authority", func(t *testing.T) {
		isLeftOut(t, newServer(t, t.TempDir(), "--etcd", etcd.url, "--etcd-ca", newAuthority(t).File), "certificate")
	})
}

// isLeftOut starts a server that etcd does not let in: it goes on trying, and its
// log and every refused write name etcd and what is wrong.
func isLeftOut(t *testing.T, s *serverProcess, wrong string) {
	t.Helper()
	s.env = []string{"MUSTER_ETCD_PASSWORD=wrong"}
	at := s.startAt(s.data)
	s.http, s.dns = at.HTTP, at.DNS
	defer s.kill()
	told := func(text string) bool { return strings.Contains(text, "etcd ") && strings.Contains(text, wrong) }
	if !poll(time.Minute, func() bool { return slices.ContainsFunc(slices.Collect(strings.Lines(s.log.String())), told) }, nil) {
		t.Errorf("no line of the log names etcd and %q:\n%s", wrong, s.log)
	}
	if status, body, err := request(http.MethodDelete, s.url()+"/v1/configs/public/DEFAULT_GROUP/app.yaml", nil); err != nil ||
		status != http.StatusServiceUnavailable || !told(body) {
		t.Errorf("write = %d %q, %v, want 503 that names etcd and %q", status, body, err, wrong)
	}
}

// A server that is started before its etcd waits for it, with a password too.
func TestServerWaitsForExternalEtcd(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"without a password": nil, "with a password": {"--etcd-user", "muster"}} {
		t.Run(name, func(t *testing.T) {
			etcd := newEtcd(t)
			s := newServer(t, t.TempDir(), append(args, "--etcd", etcd.url)...)
			s.env = []string{"MUSTER_ETCD_PASSWORD=right"}
			at := s.startAt(s.data)
			s.http, s.dns = at.HTTP, at.DNS
			t.Cleanup(s.kill)
			for _, path := range []string{"/readyz", api.PathServices, api.PathConfigs} {
				status, body, err := request(http.MethodGet, s.url()+path, nil)
				if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "etcd") {
					t.Errorf("GET %s without etcd = %d %q, %v, want 503 that names etcd", path, status, body, err)
				}
			}
			etcd.start()
			t.Cleanup(etcd.kill)
			s.awaitReady()
		})
	}
}
