package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

const (
	pulledDocuments = 120
	killedPulls     = 8
)

// A folder whose pull is killed at any moment has whole files alone, and the next
// pull makes it what the server has: no conflict, no rest.
func TestPullIsKilled(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	remote, err := client.New([]string{s.url()}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(version int) {
		t.Helper()
		var g errgroup.Group
		g.SetLimit(8)
		for i := range pulledDocuments {
			n := client.Name{Group: fmt.Sprintf("group-%d", i%3), Name: fmt.Sprintf("pulled-%d", i)}
			g.Go(func() error {
				if version > 0 && i%10 == version%10 { // it comes and goes
					_, err := remote.SetConfigs(t.Context(), []api.ConfigEdit{{Group: n.Group, DataID: n.Name, Delete: true}})
					return err
				}
				_, err := remote.PutConfig(t.Context(), n, []byte(contentOf(n.Name, version)), client.ConfigWrite{})
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "folder")
	publish(0)
	muster(t, "config", "clone", dir, "--server", s.url())
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), 0))
	began := time.Now()
	muster(t, "config", "pull", dir)
	usual := 4 * time.Since(began)
	killed := 0
	for version := 1; version <= killedPulls; version++ {
		publish(version)
		p := process{t: t, args: []string{"config", "pull", dir}}
		p.start()
		select {
		case <-p.done:
		case <-time.After(time.Duration(random.Int64N(int64(usual)))):
			p.kill()
			killed++
		}
		for name, content := range pulled(t, dir) {
			if isStaged(name) || whole(name, content, version) || whole(name, content, version-1) {
				continue
			}
			t.Fatalf("after a kill, %s = %.60q, want version %d or the one before", name, content, version)
		}
		muster(t, "config", "pull", dir)
		got := pulled(t, dir)
		for i := range pulledDocuments {
			name := fmt.Sprintf("pulled-%d", i)
			if content, ok := got[name]; ok == (i%10 == version%10) || ok && !whole(name, content, version) {
				t.Fatalf("after the next pull, %s = %.60q, want version %d", name, content, version)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Fatalf("%v are left in the folder", got)
		}
	}
	t.Logf("%d of %d pulls were killed", killed, killedPulls)
	if out := muster(t, "config", "status", dir); !strings.HasPrefix(out, "in step") {
		t.Errorf("status = %s, want in step", out)
	}
}

// A folder has documents as everybody gets them, also on a host that is to try a
// release before others, and does not put files in the place of what is no file.
func TestFolderOfUnusualDocuments(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	remote, err := client.New([]string{s.url()}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, name := t.Context(), func(id string) client.Name { return client.Name{Name: id} }
	put := func(id, content string, w client.ConfigWrite) {
		t.Helper()
		if _, err := remote.PutConfig(ctx, name(id), []byte(content), w); err != nil {
			t.Fatal(err)
		}
	}
	put("gray", "for all", client.ConfigWrite{Desc: "colours", Tags: []string{"a", "b"}})
	put("cipher-sealed", "sealed by its clients", client.ConfigWrite{DataKey: "key"})
	put("plain", "one", client.ConfigWrite{})
	_, gray := remote.PutRelease(ctx, name("gray"), "canary", []byte("for some"), client.ReleaseWrite{Rule: api.Rule{IPs: []string{"127.0.0.1"}}})
	_, joined := remote.PutPart(ctx, name("joined"), "1", []byte("part"), "text", "")
	if err := errors.Join(gray, joined); err != nil {
		t.Fatal(err)
	}
	if d, err := remote.Config(ctx, name("gray")); err != nil || string(d.Content) != "for some" {
		t.Fatalf("this host gets %q, %v, want the release", d.Content, err)
	}
	dir := filepath.Join(t.TempDir(), "folder")
	muster(t, "config", "clone", dir, "--server", s.url())
	at := func(id string) string { return filepath.Join(dir, "DEFAULT_GROUP", id) }
	for id, want := range map[string]string{"gray": "for all", "cipher-sealed": "sealed by its clients", "plain": "one", "joined": "part"} {
		if got := textOf(t, at(id)); got != want {
			t.Errorf("%s = %q, want %q", id, got, want)
		}
	}
	edit := func(id, content string) {
		t.Helper()
		if err := os.WriteFile(at(id), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit("plain", "two")
	edit("gray", "for all, anew")
	for _, id := range []string{"joined", "cipher-sealed"} {
		was := textOf(t, at(id))
		edit(id, "mine")
		if out, code := failing(t, "config", "push", dir); code != exitFailed || !strings.Contains(out, "DEFAULT_GROUP/"+id+": is ") {
			t.Errorf("push of %s ended with %d, %s", id, code, out)
		}
		edit(id, was)
	}
	if d, err := remote.Config(ctx, name("plain")); err != nil || string(d.Content) != "one" {
		t.Errorf("plain = %q, %v, want it not to be published", d.Content, err)
	}
	muster(t, "config", "push", dir)
	head, err := remote.ConfigHead(ctx, name("gray"))
	if err != nil || head.MD5 != digestOf("for all, anew") || head.Desc != "colours" || len(head.Tags) != 2 || len(head.Releases) != 1 {
		t.Errorf("gray = %+v, %v, want the new content and the rest as it was", head, err)
	}
	plain, err := remote.ConfigHead(ctx, name("plain"))
	if err != nil || plain.Revision != head.Revision {
		t.Errorf("both are at the revisions %d and %d, %v, want one", plain.Revision, head.Revision, err)
	}
}

// A push that goes over a quota is told so, and one over a hard quota publishes nothing.
func TestPushMeetsQuotas(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	remote, err := client.New([]string{s.url()}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	quotas := api.GroupPolicySpec{Soft: api.Quota{Count: 1}, Hard: api.Quota{Count: 3}}
	if _, err := remote.SetPolicy(t.Context(), "public", api.PolicySpec{GroupPolicySpec: quotas}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "folder")
	muster(t, "config", "clone", dir, "--server", s.url())
	add := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			at := filepath.Join(dir, "g", id)
			if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, []byte(id), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("a", "b")
	if out := muster(t, "config", "push", dir); !strings.Contains(out, "warning  ") || !strings.Contains(out, "count") {
		t.Errorf("push over a soft quota says %s, want a warning", out)
	}
	add("c", "d")
	if out, code := failing(t, "config", "push", dir); code != exitNotAllowed || !strings.Contains(out, "quota") {
		t.Errorf("push over a hard quota ended with %d, %s", code, out)
	}
	if list, err := remote.Configs(t.Context(), client.Query{Namespace: "public"}); err != nil || list.Total != 2 {
		t.Errorf("%d documents stand, %v, want the two of the first push", list.Total, err)
	}
}

// Of two pushes at once, of documents they have in common, one is published whole and
// the other not at all.
func TestPushesAtOnce(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	remote, err := client.New([]string{s.url()}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const documents, rounds = 20, 4
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	for _, dir := range dirs {
		muster(t, "config", "clone", dir, "--server", s.url())
	}
	for round := range rounds {
		for _, dir := range dirs {
			muster(t, "config", "pull", dir, "--theirs", ".")
			if err := os.MkdirAll(filepath.Join(dir, "DEFAULT_GROUP"), 0o700); err != nil {
				t.Fatal(err)
			}
			for i := range documents {
				content := fmt.Sprintf("round %d of %s\n", round, dir)
				if err := os.WriteFile(filepath.Join(dir, "DEFAULT_GROUP", fmt.Sprintf("doc-%d", i)), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		codes := make([]int, len(dirs))
		var g sync.WaitGroup
		for i, dir := range dirs {
			g.Go(func() { codes[i] = codeOf(t, "config", "push", dir) })
		}
		g.Wait()
		if slices.Sort(codes); !slices.Equal(codes, []int{exitDone, exitConflict}) {
			t.Fatalf("pushes ended with %v, want one done and one in conflict", codes)
		}
		list, err := remote.Configs(t.Context(), client.Query{Namespace: "public"})
		if err != nil || len(list.Configs) != documents {
			t.Fatalf("%d documents stand, %v, want %d", len(list.Configs), err, documents)
		}
		for _, d := range list.Configs {
			if d.MD5 != list.Configs[0].MD5 || d.Revision != list.Configs[0].Revision {
				t.Fatalf("%s is of another push than %s", d.DataID, list.Configs[0].DataID)
			}
		}
	}
}

// codeOf runs a command and returns its exit code.
func codeOf(t *testing.T, args ...string) int {
	out, err := exec.CommandContext(t.Context(), "muster", args...).CombinedOutput()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return ended.ExitCode()
	}
	if err != nil {
		t.Errorf("%v = %v\n%s", args, err, out)
	}
	return exitDone
}

// failing runs a command that must end badly.
func failing(t *testing.T, args ...string) (stderr string, code int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "muster", args...).CombinedOutput()
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("%v = %v, want a failure\n%s", args, err, out)
	}
	return string(out), ended.ExitCode()
}

func whole(name, content string, version int) bool { return content == contentOf(name, version) }

func isStaged(name string) bool { return strings.HasPrefix(name, ".muster-") }

// pulled returns the contents of the files in a folder by name, those that are hidden
// too but for what the folder remembers.
func pulled(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "group-*", "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, "group-*", ".*")) // the pattern is good
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, path := range append(paths, hidden...) {
		all[filepath.Base(path)] = textOf(t, path)
	}
	return all
}

// muster runs a command that must end well, and returns its output.
func muster(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "muster", args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s\n%s", args, err, &stdout, &stderr)
	}
	return stdout.String()
}
