package boltpages_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/musterhq/muster/internal/boltpages"
)

// database writes one of some pages and returns its path.
func database(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("bucket"))
		for i := range 1000 {
			if err == nil {
				err = b.Put(fmt.Appendf(nil, "key-%04d", i), make([]byte, 100))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func check(t *testing.T, path string) error {
	t.Helper()
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return db.View(func(tx *bolt.Tx) error { return boltpages.Check(t.Context(), path, tx) })
}

func TestCheck(t *testing.T) {
	if err := check(t, database(t)); err != nil {
		t.Errorf("Check(a good database) = %v", err)
	}
	page := int64(os.Getpagesize())
	for _, c := range []struct {
		name, want string
		damage     func(*os.File) error
	}{
		{"cut off", "beyond the end", func(f *os.File) error { return f.Truncate(4 * page) }},
		{"zeroes", "says that it is page", func(f *os.File) error {
			_, err := f.WriteAt(make([]byte, 8*page), 4*page)
			return err
		}},
		{"a circle", "there twice", func(f *os.File) error { return circle(f, page) }},
	} {
		path := database(t)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil {
			err = c.damage(f)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := check(t, path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check(%s) = %v, want %q", c.name, err, c.want)
		}
	}
}

// circle has each branch begin with itself.
func circle(f *os.File, page int64) error {
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, 10)
	for at := 2 * page; at < stat.Size(); at += page {
		if _, err := f.ReadAt(head, at); err != nil {
			return err
		}
		if binary.NativeEndian.Uint16(head[8:]) != 1 {
			continue
		}
		if _, err := f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(at/page)), at+24); err != nil {
			return err
		}
	}
	return nil
}

func TestGuarded(t *testing.T) {
	if err := boltpages.Guarded("it", func() error { return nil }); err != nil {
		t.Errorf("Guarded(nothing) = %v", err)
	}
	err := boltpages.Guarded("it broke", func() error {
		var none []int
		_ = none[len(none)]
		return nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "it broke: ") {
		t.Errorf("Guarded(a panic) = %v", err)
	}
}
