package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/etcdstore/keeper"
	"github.com/musterhq/muster/internal/authority"
)

// member returns settings for a member on a free port, all but Initial. All
// members of the test have one certificate.
func member(t *testing.T, name, dir string) *embedded.Cluster {
	t.Helper()
	cert, key, ca := filepath.Join(dir, "peer.pem"), filepath.Join(dir, "peer-key.pem"), filepath.Join(dir, "ca.pem")
	if _, err := os.Stat(cert); err != nil {
		signs, err := authority.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := signs.Issue("peer", "127.0.0.1", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	return &embedded.Cluster{Name: name, Listen: freeAddress(t), CertFile: cert, KeyFile: key, CAFile: ca}
}

// freeAddress returns one below the ports that connections take for themselves:
// it stays free until a member listens there.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", 20000+mathrand.IntN(10000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port between 20000 and 30000")
	return ""
}

func TestMemberJoinsAndIsRemoved(t *testing.T) {
	t.Parallel()
	certificates := t.TempDir()
	cfg := config(t.TempDir())
	cfg.Etcd.Cluster = member(t, "a", certificates)
	cfg.Etcd.Cluster.Initial = "a=" + cfg.Etcd.Cluster.Listen
	a, _ := running(t, cfg)
	members, err := a.Members()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	promoting := make(chan error, 1)
	go func() { promoting <- members.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-promoting; err != nil {
			t.Errorf("promoting ended with %v", err)
		}
	}()

	cfg = config(t.TempDir())
	cfg.Etcd.Cluster = member(t, "b", certificates)
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	if cfg.Etcd.Cluster.Initial, err = members.Add(ctx, "b", cfg.Etcd.Cluster.Listen); err != nil {
		t.Fatal(err)
	}
	cfg.Etcd.Cluster.Join = true
	b, err := keeper.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case <-time.After(time.Minute):
		t.Fatal("b is not ready after a minute")
	}
	if err := put(t, b.Client(), "through b", ""); err != nil {
		t.Errorf("put through the new member = %v: it was to be promoted before it is ready", err)
	}
	all, err := members.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	leaders := 0
	for _, one := range all {
		if one.Leader {
			leaders++
		}
	}
	if len(all) != 2 || leaders != 1 || slices.ContainsFunc(all, func(m embedded.Member) bool { return !m.Healthy || m.Learner }) {
		t.Errorf("List() = %+v, want two healthy members with one leader", all)
	}
	if _, err := members.Remove(ctx, "b", false); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, embedded.ErrRemoved) {
			t.Errorf("Run() of a removed member = %v, want ErrRemoved", err)
		}
	case <-time.After(time.Minute):
		t.Error("the keeper of a removed member runs on after a minute")
	}
}
