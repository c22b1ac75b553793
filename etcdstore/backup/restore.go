package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/internal/boltpages"
)

// Target is what is made of a snapshot.
type Target struct {
	// Dir is the directory of the etcd (see [embedded.Config]). It is made when it
	// is not there, and must be empty.
	Dir string
	// Cluster is set for a member of a cluster; nil is an etcd of its own. Every
	// member restores the same file, each with its own settings, before any of them
	// starts. The old members cannot join in.
	Cluster *embedded.Cluster
}

// revisionBump is added to the last revision, so that revisions and SOA serials
// go on above all that were used after the backup, and serials still follow
// each other as RFC 1982 orders them.
const revisionBump = 1 << 30

// Restore checks the snapshot in the file and makes an etcd's directory of it,
// to be started by [embedded.Start]. Records keep their revisions; the history
// before is marked as compacted, so that no watch goes on from it. Leases start
// anew with their full time, and end when nobody renews them. After an error the
// directory is as it was. Restore does not stop while etcd's part of it runs,
// which takes about as long as to copy the file.
func Restore(ctx context.Context, path string, target Target) (Info, error) {
	info, err := restore(ctx, path, target)
	if err != nil {
		return Info{}, fmt.Errorf("restore into %s: %w", target.Dir, err)
	}
	return info, nil
}

func restore(ctx context.Context, path string, target Target) (Info, error) {
	cfg, err := target.config()
	if err != nil {
		return Info{}, err
	}
	if _, err := vacant(target.Dir); err != nil {
		return Info{}, err
	}
	info, err := Verify(ctx, path)
	if err != nil {
		return Info{}, err
	}
	// The old members have the old token: data that was not restored must not mix
	// with data that was. All members that restore this file have the same.
	cfg.SnapshotPath, cfg.InitialClusterToken = path, "muster-restored-"+info.SHA256
	cfg.RevisionBump, cfg.MarkCompacted = revisionBump, true
	return info, stage(ctx, filepath.Clean(target.Dir), cfg)
}

// config returns what etcd wants to know of the member.
func (t Target) config() (snapshot.RestoreConfig, error) {
	if err := (embedded.Config{Dir: t.Dir, Cluster: t.Cluster}).Check(); err != nil {
		return snapshot.RestoreConfig{}, err
	}
	if t.Cluster == nil { // as embedded.Start calls an etcd of its own
		const name, peer = "muster", "http://localhost:0"
		return snapshot.RestoreConfig{Name: name, PeerURLs: []string{peer}, InitialCluster: name + "=" + peer}, nil
	}
	cfg := snapshot.RestoreConfig{Name: t.Cluster.Name}
	var members []string
	for entry := range strings.SplitSeq(t.Cluster.Initial, ",") {
		name, address, _ := strings.Cut(strings.TrimSpace(entry), "=")
		peer := "https://" + address
		members = append(members, name+"="+peer)
		if name == cfg.Name {
			cfg.PeerURLs = []string{peer}
		}
	}
	cfg.InitialCluster = strings.Join(members, ",")
	return cfg, nil
}

// stagePrefix begins the name of what a restore has in the making. It lies in
// the directory itself, which may be another disk than the one around it.
const stagePrefix = ".restore-"

// vacant returns what a restore that was killed left behind in dir, and an error
// when there is anything else.
func vacant(dir string) (left []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, bare(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), stagePrefix) {
			return nil, fmt.Errorf("it is not empty: %s is there", e.Name())
		}
		left = append(left, filepath.Join(dir, e.Name()))
	}
	return left, nil
}

// stage restores beside what is to be there in the end, and moves it into place
// as a whole.
func stage(ctx context.Context, dir string, cfg snapshot.RestoreConfig) (err error) {
	made, err := makeDir(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && made != "" {
			err = errors.Join(err, os.RemoveAll(made))
		}
	}()
	left, err := vacant(dir)
	if err != nil {
		return err
	}
	for _, old := range left {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	staged, err := os.MkdirTemp(dir, stagePrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staged)) }()
	cfg.OutputDataDir = staged
	if err := boltpages.Guarded("etcd", func() error { return snapshot.NewV3(quiet()).Restore(cfg) }); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return install(staged, dir, made)
}

// install moves what etcd keeps, all of which lies below one name, from staged
// to dir. It is there for good then, and the directories made for it too.
func install(staged, dir, made string) error {
	from, to := filepath.Join(staged, "member"), filepath.Join(dir, "member")
	if err := syncDir(from); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	err := syncDir(dir)
	for at := dir; err == nil && made != "" && len(at) >= len(made); {
		at = filepath.Dir(at)
		err = syncDir(at)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(to))
	}
	return nil
}

// makeDir makes dir and returns the topmost directory that was not there before,
// empty when all were.
func makeDir(dir string) (made string, err error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, os.ErrNotExist) {
			break
		}
		made = at
	}
	return made, os.MkdirAll(dir, 0o700)
}

// syncDir has the disk take in which files a directory holds.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// quiet returns a logger that panics where another one would end the process.
func quiet() *zap.Logger {
	return zap.New(zapcore.NewNopCore(), zap.WithFatalHook(zapcore.WriteThenPanic))
}
