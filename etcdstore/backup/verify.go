// Package backup checks and restores a snapshot of etcd.
//
// Such a snapshot is what etcd streams: its database at one revision, then the
// SHA-256 of that. [Verify] reads one without an etcd; [Restore] makes the
// directory of an etcd of it, or of one member of a cluster.
package backup

import (
	"context"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/internal/boltpages"
	"github.com/musterhq/muster/registry"
)

// Info is what a snapshot holds.
type Info struct {
	Revision   int64  // of etcd: all that was committed up to it is in, nothing after
	Bytes      int64  // of the file
	SHA256     string // of the database in it, lower-case hex
	Keys       int    // of etcd, whoever they belong to
	Services   int
	Instances  int
	Documents  int
	Unreadable int // keys of which readers see nothing
	Registry   registry.Digests
	Configs    config.Digests
	Layout     string // version of the keys
	Epoch      uint32
}

// Verify reads the whole snapshot in the file and returns what it holds. The
// error names the file and what is wrong with it: it is cut off or none, its
// hash differs, its database is damaged, a newer muster wrote it or none ever
// did.
func Verify(ctx context.Context, path string) (Info, error) {
	info, err := verify(ctx, path)
	if err != nil {
		return Info{}, fmt.Errorf("backup %s: %w", path, err)
	}
	return info, nil
}

func verify(ctx context.Context, path string) (Info, error) {
	size, sum, err := checkFile(ctx, path)
	if err != nil {
		return Info{}, err
	}
	info := Info{Bytes: size, SHA256: sum}
	// Only a file whose hash is right gets that far.
	err = boltpages.Guarded("its database is damaged", func() error { return info.read(ctx, path) })
	return info, err
}

// lockWait is for whoever has the file open to write to it, which nobody should.
const lockWait = time.Second

func (i *Info) read(ctx context.Context, path string) error {
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: lockWait})
	if err != nil {
		return fmt.Errorf("its database cannot be opened: %w", err)
	}
	defer db.Close()
	return db.View(func(tx *bolt.Tx) error {
		if err := boltpages.Check(ctx, path, tx); err != nil {
			return fmt.Errorf("its database is damaged: %w", err)
		}
		s := state{tx: tx}
		var err error
		if i.Revision, err = s.revision(); err != nil {
			return fmt.Errorf("its database is damaged: %w", err)
		}
		c, err := etcdstore.Decode(i.Revision, s.standing(ctx))
		if s.err != nil {
			return s.err
		}
		if err != nil {
			return err
		}
		i.Keys, i.Layout, i.Epoch, i.Unreadable = s.keys, c.Layout, c.Epoch, c.Unreadable
		i.Services, i.Instances, _ = c.Registry.Counts()
		i.Documents, i.Registry, i.Configs = c.Configs.Len(), c.Registry.Digests(), c.Configs.Digests()
		return nil
	})
}
