package track

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/internal/boltpages"
)

// The file has records by document and client, and the same keys the other way
// round, with nothing under them.
var (
	byDocument = []byte("documents")
	byClient   = []byte("clients")
)

const (
	lockWait = time.Second // for a server that is about to end
	aside    = ".damaged"
)

var errNoFile = errors.New("is no file")

// file is the track on disk.
type file struct {
	db *bolt.DB
	// unused says why the file is not used. When bbolt has panicked it may have left
	// locks of its own taken, so it is not even closed.
	unused atomic.Pointer[error]
}

// openFile opens the file, or makes it, and returns how many records it has. On a
// full disk it returns a file that is not used.
func openFile(path string, damaged func(aside string, err error)) (*file, int, error) {
	if err := intact(path); err != nil {
		if errors.Is(err, errNoFile) || errors.Is(err, bolterrors.ErrTimeout) || errors.Is(err, fs.ErrPermission) {
			return nil, 0, fmt.Errorf("push track %s: %w", path, err)
		}
		if renameErr := os.Rename(path, path+aside); renameErr != nil {
			return nil, 0, fmt.Errorf("push track %s is damaged (%w) and cannot be set aside: %w", path, err, renameErr)
		}
		damaged(path+aside, err)
	}
	f := new(file)
	count := 0
	err := f.guarded(func() (err error) {
		f.db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
		if err != nil {
			return err
		}
		count, err = prepare(f.db)
		return err
	})
	switch {
	case err == nil:
		return f, count, nil
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		f.unused.Store(&err)
		return f, 0, nil
	}
	return nil, 0, errors.Join(fmt.Errorf("push track %s: %w", path, err), f.close())
}

// prepare counts the records, and makes the buckets where there are none.
func prepare(db *bolt.DB) (count int, err error) {
	made := false
	err = db.View(func(tx *bolt.Tx) error {
		docs := tx.Bucket(byDocument)
		if made = docs != nil && tx.Bucket(byClient) != nil; made {
			count = docs.Stats().KeyN
		}
		return nil
	})
	if err != nil || made {
		return count, err
	}
	return 0, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(byDocument)
		if err == nil {
			_, err = tx.CreateBucketIfNotExists(byClient)
		}
		return err
	})
}

// intact returns what is wrong with the file at path; nothing, if there is none.
func intact(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errNoFile
	}
	return boltpages.Guarded("it cannot be read", func() error {
		db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: lockWait})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.View(func(tx *bolt.Tx) error { return boltpages.Check(context.Background(), path, tx) })
	})
}

func (f *file) close() error {
	if f.db == nil || f.unused.Load() != nil {
		return nil
	}
	return f.db.Close()
}

// guarded runs what uses the database, unless that was found damaged; a panic is
// how bbolt finds it.
func (f *file) guarded(use func() error) error {
	if why := f.unused.Load(); why != nil {
		return fmt.Errorf("it is not used until the next start: %w", *why)
	}
	returned := false
	err := boltpages.Guarded("the file is damaged", func() error {
		err := use()
		returned = true
		return err
	})
	if !returned {
		f.unused.Store(&err)
	}
	return err
}

func (f *file) view(read func(docs, clients *bolt.Bucket) error) error {
	return f.guarded(func() error {
		return f.db.View(func(tx *bolt.Tx) error { return read(tx.Bucket(byDocument), tx.Bucket(byClient)) })
	})
}

func (f *file) update(write func(docs, clients *bolt.Bucket) error) error {
	return f.guarded(func() error {
		return f.db.Update(func(tx *bolt.Tx) error { return write(tx.Bucket(byDocument), tx.Bucket(byClient)) })
	})
}

// load returns one record, and whether there is one. It is empty when there is one
// that cannot be read.
func (f *file) load(k config.Key, id string) (r record, found bool, err error) {
	key := appendName(appendDocument(nil, k), id)
	err = f.view(func(docs, _ *bolt.Bucket) error {
		value := docs.Get(key)
		if found = value != nil; !found {
			return nil
		}
		var err error
		r, err = decode(value)
		return err
	})
	return r, found, err
}

// change is a record to write.
type change struct {
	entry *entry
	seen  int64
	key   []byte // by document
	fresh bool   // it was not in the file
	value []byte
}

// put writes records: in the order of the keys, which is what costs bbolt least.
func (f *file) put(changes []change) error {
	slices.SortFunc(changes, func(a, b change) int { return bytes.Compare(a.key, b.key) })
	return f.update(func(docs, clients *bolt.Bucket) error {
		for _, c := range changes {
			if err := docs.Put(c.key, c.value); err != nil {
				return err
			}
			if !c.fresh {
				continue
			}
			if err := clients.Put(byClientKey(c.key), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// byClientKey turns a key around.
func byClientKey(key []byte) []byte {
	end := len(key) - 1
	from := bytes.LastIndexByte(key[:end], 0) + 1
	return slices.Concat(key[from:], key[:from])
}

// byDocumentKey turns it back.
func byDocumentKey(key []byte) []byte {
	to := bytes.IndexByte(key, 0) + 1
	return slices.Concat(key[to:], key[:to])
}

// remove removes records and returns how many there were.
func (f *file) remove(keys [][]byte) (removed int, err error) {
	err = f.update(func(docs, clients *bolt.Bucket) error {
		removed = 0
		for _, key := range keys {
			if docs.Get(key) == nil {
				continue
			}
			removed++
			if err := errors.Join(docs.Delete(key), clients.Delete(byClientKey(key))); err != nil {
				return err
			}
		}
		return nil
	})
	return removed, err
}
