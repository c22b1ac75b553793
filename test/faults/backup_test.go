package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/test/faults/check"
	"github.com/musterhq/muster/test/faults/cluster"
)

// backupRestored makes a backup under load, loses the data directory, restores,
// and asks whether the server holds what the backup holds, which is what it held
// at that revision, and whether nobody can take it for older than before.
func backupRestored(t *testing.T) {
	s := open(t, cluster.Config{Servers: 1}, small())
	server := s.cluster.Servers[0]
	s.pass(2 * time.Second)

	seen := make(map[int64]map[string]string)
	watching, stop := context.WithCancel(s.ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for watching.Err() == nil {
			if state, err := server.Status(watching); err == nil {
				seen[state.Revision] = state.Digests
			}
			s.pass(2 * time.Millisecond)
		}
	})
	file := filepath.Join(s.dir, "backup")
	s.pass(500 * time.Millisecond)
	made := s.muster(server, "backup", file, "--server", server.URL(), "-o", "json")
	s.pass(time.Second)
	stop()
	watch.Wait()
	// Between two revisions of the registry etcd's may grow.
	var at int64
	for revision := range seen {
		if revision <= made.Revision {
			at = max(at, revision)
		}
	}
	if at == 0 || !maps.Equal(seen[at], made.Digests) {
		s.Errorf("the backup at revision %d has digests %v, the server at revision %d had %v", made.Revision, made.Digests, at, seen[at])
	}

	s.must(s.load.Stop())
	s.verifySoFar()
	before := s.serials()
	s.must(server.Crash())
	s.must(os.Rename(server.Data, server.Data+"-lost"))
	s.must(os.Mkdir(server.Data, 0o700))
	restored := s.muster(server, "restore", file, "--data-dir", server.Data, "-o", "json")
	if !maps.Equal(restored.Digests, made.Digests) {
		s.Errorf("restored with digests %v, want %v", restored.Digests, made.Digests)
	}
	s.must(server.Start())
	s.must(s.within(time.Minute, server.Ready))
	state, err := server.Status(s.ctx)
	s.must(err)
	if !maps.Equal(state.Digests, made.Digests) {
		s.Errorf("the restored server has digests %v at revision %d, want %v", state.Digests, state.Revision, made.Digests)
	}
	for _, was := range before {
		if int32(state.Serial-was) <= 0 { // RFC 1982
			s.Fatalf("the restored server has serial %d, and %d was served before", state.Serial, was)
		}
	}
	s.close()
}

// backedUp is what the command says of a backup.
type backedUp struct {
	Revision int64
	Digests  map[string]string
}

// muster runs a command on the host of a server to its end and reads what it
// printed.
func (s *scene) muster(on *cluster.Server, args ...string) (out backedUp) {
	s.Helper()
	cmd := s.cluster.Command(on, args...)
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	b, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		s.Fatalf("muster %q: %v: %s", args, err, exit.Stderr)
	}
	s.must(err)
	s.must(json.Unmarshal(b, &out))
	return out
}

// serials returns the serials that were served.
func (s *scene) serials() (all []uint32) {
	for _, v := range s.recorder.History().Serials {
		all = append(all, v.Serial)
	}
	return all
}

// verifySoFar checks what was recorded until now.
func (s *scene) verifySoFar() {
	s.Helper()
	h := s.recorder.History()
	s.Log(told(h))
	if found := check.History(h, check.Limits{Lookups: true, Writes: true}); len(found) > 0 {
		s.Errorf("seed %d: %d violations (history and logs: %s)\n%s", seed(), len(found), s.keep(h), check.Summary(found, 5))
	}
}
