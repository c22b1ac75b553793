package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// told runs a command that prints what it made of a backup as JSON.
func told(t *testing.T, args ...string) (b backupOutput) {
	t.Helper()
	code, out := command(t, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &b); err != nil || code != exitDone {
		t.Fatalf("muster %v = %d %q, %v", args, code, out, err)
	}
	return b
}

// serial returns the serial of the zone.
func (s *serverProcess) serial() uint32 {
	s.t.Helper()
	reply, err := exchange(s.dns, "muster.internal.", dns.TypeSOA)
	if err != nil || len(reply.Answer) != 1 {
		s.t.Fatalf("SOA = %v, %v, want one", reply, err)
	}
	return reply.Answer[0].(*dns.SOA).Serial
}

// What was acknowledged before a backup began is in it, though others write
// meanwhile, and a restore brings it back, later than all that was served.
func TestBackupIsRestored(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	want := newWriter(1)
	for range 40 {
		want.step(t, s)
	}
	path := filepath.Join(t.TempDir(), "muster.backup")
	var made backupOutput
	before := s.serial()
	whileWriting(t, s, func() { made = told(t, "backup", path, "--server", s.url()) })
	if made.Services < 1 || made.Instances < 40 || made.Documents < 21 || len(made.Digests) == 0 || made.Revision < int64(before) {
		t.Errorf("muster backup = %+v, want at least what was acknowledged before", made)
	}
	if again := told(t, "backup", "--verify", path); again.SHA256 != made.SHA256 || !maps.Equal(again.Digests, made.Digests) {
		t.Errorf("muster backup --verify = %+v, want %+v", again, made)
	}
	backupIsKept(t, s, path)
	served := s.serial()
	restoreIsRefused(t, s, path)
	s.stop()

	data := filepath.Join(t.TempDir(), "new")
	if restored := told(t, "restore", path, "--data-dir", data); !maps.Equal(restored.Digests, made.Digests) || restored.Instances != made.Instances {
		t.Errorf("muster restore = %+v, want what the backup holds: %+v", restored, made)
	}
	r := newServer(t, data)
	r.start()
	t.Cleanup(r.stop)
	if st := r.said(); !maps.Equal(st.Digests, made.Digests) || st.Instances != made.Instances || st.Services != made.Services || st.Configs != made.Documents {
		t.Errorf("what was restored = %+v, want %+v", st.Status, made)
	}
	want.verify(t, r, r.digests())
	want.read(t, r, want.documents)
	if after := r.serial(); int32(after-served) <= 0 {
		t.Errorf("serial %d after the restore, want one later than %d", after, served)
	}
	for range 5 {
		want.step(t, r)
	}
	want.verify(t, r, r.digests())
	if code, out := command(t, "restore", path, "--data-dir", data); code != exitFailed || !strings.Contains(out, "in use by another muster") {
		t.Errorf("restore below a running server = %d %q, want %d and that it is in use", code, out, exitFailed)
	}
}

// step writes an instance and a document, which must be taken.
func (w *writer) step(t *testing.T, s *serverProcess) {
	t.Helper()
	w.port++
	s.call(http.MethodPost, pathInstance, params("serviceName", w.service(), "ip", w.ip(), "port", fmt.Sprint(w.port), "ephemeral", "false"))
	w.instances[w.port] = true
	id := w.service()
	if w.port%2 == 0 {
		id = fmt.Sprintf("%s-%d", id, w.port)
	}
	w.asked[id]++
	s.publish(id, contentOf(id, w.asked[id]))
	w.documents[id] = w.asked[id]
}

// whileWriting does something while four clients write.
func whileWriting(t *testing.T, s *serverProcess, do func()) {
	t.Helper()
	stop, written := make(chan struct{}), make(chan struct{}, 1)
	var writing sync.WaitGroup
	for id := range 4 {
		writing.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				v := params("serviceName", fmt.Sprint("meanwhile-", id), "ip", "10.0.2.1", "port", fmt.Sprint(n), "ephemeral", "false")
				if status, body, err := request(http.MethodPost, s.url()+pathInstance, v); err != nil || status != http.StatusOK {
					t.Errorf("registration during a backup = %d %q, %v, want 200", status, body, err)
					return
				}
				select {
				case written <- struct{}{}:
				default:
				}
			}
		})
	}
	<-written
	do()
	close(stop)
	writing.Wait()
}

// backupIsKept makes a backup to a file that is there.
func backupIsKept(t *testing.T, s *serverProcess, path string) {
	t.Helper()
	before := textOf(t, path)
	code, out := command(t, "backup", path, "--server", s.url())
	if code != exitFailed || !strings.Contains(out, path) || !strings.Contains(out, "exists") {
		t.Errorf("backup to a file that is there = %d %q, want %d and that it exists", code, out, exitFailed)
	}
	if textOf(t, path) != before {
		t.Error("the backup that was there is another one now")
	}
	if got := filesIn(t, filepath.Dir(path)); !slices.Equal(got, []string{filepath.Base(path)}) {
		t.Errorf("beside the backup there are now %q", got)
	}
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// restoreIsRefused restores what is damaged, and to where something is.
func restoreIsRefused(t *testing.T, s *serverProcess, path string) {
	t.Helper()
	good := textOf(t, path)
	damaged := []byte(good)
	damaged[len(damaged)/2]++
	used := t.TempDir()
	if err := os.MkdirAll(filepath.Join(used, "etcd", "notes"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, path, dir, says string }{
		{"a damaged file", fileWith(t, string(damaged)), filepath.Join(t.TempDir(), "new"), "is damaged"},
		{"half a file", fileWith(t, good[:len(good)/2]), filepath.Join(t.TempDir(), "new"), "is truncated"},
		{"an empty file", fileWith(t, ""), filepath.Join(t.TempDir(), "new"), "is empty"},
		{"no backup", fileWith(t, strings.Repeat("x", 9000)), filepath.Join(t.TempDir(), "new"), "is no snapshot"},
		{"a missing file", path + ".missing", filepath.Join(t.TempDir(), "new"), "no such file"},
		{"a directory with something in it", path, used, "not empty"},
		{"a directory in use", path, s.data, "in use by another muster"},
	} {
		before, _ := filepath.Glob(filepath.Join(c.dir, "*", "*")) // the pattern is good
		code, out := command(t, "restore", c.path, "--data-dir", c.dir)
		if code != exitFailed || !strings.Contains(out, c.says) {
			t.Errorf("restore of %s = %d %q, want %d and that it %s", c.name, code, out, exitFailed, c.says)
		}
		after, _ := filepath.Glob(filepath.Join(c.dir, "*", "*"))
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("restore of %s changed the directory (-before +after):\n%s", c.name, diff)
		}
		if c.says != "no such file" && c.path != path {
			if code, out := command(t, "backup", "--verify", c.path); code != exitFailed || !strings.Contains(out, c.says) {
				t.Errorf("verification of %s = %d %q, want %d and that it %s", c.name, code, out, exitFailed, c.says)
			}
		}
	}
}

// One backup of a single server fills all servers of a cluster.
func TestBackupIsRestoredToCluster(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	path := filepath.Join(t.TempDir(), "muster.backup")
	made := told(t, "backup", path, "--server", s.url())
	served := s.serial()
	s.stop()
	c := newCluster(t)
	for _, member := range c.servers {
		args := append([]string{"restore", path}, member.args[1:]...)
		if restored := told(t, args...); !maps.Equal(restored.Digests, made.Digests) {
			t.Errorf("muster restore = %+v, want what the backup holds: %+v", restored, made)
		}
	}
	c.start()
	for _, member := range c.servers {
		if st := member.said(); !maps.Equal(st.Digests, made.Digests) {
			t.Errorf("digests of a member = %v, want %v", st.Digests, made.Digests)
		}
		if after := member.serial(); int32(after-served) <= 0 {
			t.Errorf("serial %d after the restore, want one later than %d", after, served)
		}
		if !member.answers() {
			t.Error("a member does not answer what was restored")
		}
	}
	eventually(t, time.Minute, "writes are taken", func() bool {
		status, _, err := request(http.MethodPost, c.servers[0].url()+pathInstance, persistent("order-api", "10.0.0.2"))
		return err == nil && status == http.StatusOK
	})
}
