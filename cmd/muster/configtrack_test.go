package main

import (
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// What two servers heard is told by each of them; of one that does not answer it is
// said that what it heard is missing.
func TestTrackOfTwoServers(t *testing.T) {
	t.Parallel()
	one, two := startTwo(t, startEtcd(t))
	as := func(s *serverProcess, id string) *client.Client {
		c, err := client.New([]string{s.url()}, client.Config{Identity: client.Identity{ID: id}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	n := client.Name{Name: "app.yaml"}
	head, err := as(one, "").PutConfig(t.Context(), n, []byte("v: 1"), client.ConfigWrite{})
	if err != nil {
		t.Fatal(err)
	}
	for s, id := range map[*serverProcess]string{one: "web-1", two: "web-2"} {
		if _, err := as(s, id).WatchConfigs(t.Context(), []api.ConfigRef{{DataID: "app.yaml", MD5: head.MD5}}, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*serverProcess{one, two} {
		var got api.ConfigTrack
		eventually(t, time.Minute, "both clients are told by "+s.http, func() bool {
			got, err = as(s, "").ConfigTrack(t.Context(), n)
			return err == nil && got.Clients == 2 && got.OnNewest == 2 && len(got.Silent) == 0
		})
	}
	two.kill()
	got, err := as(one, "").ConfigTrack(t.Context(), n)
	if err != nil || got.Clients != 1 || len(got.Silent) != 1 || got.Silent[0].Error == "" {
		t.Errorf("track without the other server = %+v, %v, want one client, and that a server is silent", got, err)
	}
}

// A watch tells of a document as it comes, changes, is released to this client, and
// goes; to be interrupted is no failure.
func TestWatchConfig(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	c, err := client.New([]string{s.url()}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := &process{t: t, args: []string{"config", "watch", "app.yaml", "--server", s.url(), "--content", "--as-tag", "blue"}}
	w.start()
	t.Cleanup(w.stop)
	n := client.Name{Name: "app.yaml"}
	for _, step := range []struct {
		do    func() error
		says  string
		times int
	}{
		{func() error { _, err := c.PutConfig(t.Context(), n, []byte("v: 1"), client.ConfigWrite{}); return err }, "published  version 1  md5 " + client.Digest([]byte("v: 1")) + "\nv: 1\n", 1},
		{func() error { _, err := c.PutConfig(t.Context(), n, []byte("v: 2"), client.ConfigWrite{}); return err }, "published  version 2", 1},
		{func() error {
			_, err := c.PutRelease(t.Context(), n, "canary", []byte("v: 3"), client.ReleaseWrite{Rule: api.Rule{Tag: "blue"}})
			return err
		}, "release canary\nv: 3\n", 1},
		{func() error { return c.WithdrawRelease(t.Context(), n, "canary") }, "published  version 2  md5 " + client.Digest([]byte("v: 2")) + "\nv: 2\n", 2},
		{func() error { return c.DeleteConfig(t.Context(), n) }, "removed\n", 1},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "the watch says "+step.says, func() bool { return strings.Count(w.log.String(), step.says) == step.times })
	}
}
