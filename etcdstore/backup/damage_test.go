package backup_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/etcdstore/backup"
)

// entry is one revision of a key in a database made up by a test.
type entry struct {
	revision   int64
	key, value string
	deleted    bool
}

// revisionKey is what etcd keeps a revision under.
func revisionKey(revision int64, deleted bool) []byte {
	k := append(binary.BigEndian.AppendUint64(nil, uint64(revision)), '_')
	k = binary.BigEndian.AppendUint64(k, 0)
	if deleted {
		k = append(k, 't')
	}
	return k
}

// snapshot returns a snapshot of a made-up etcd. edit may spoil its database.
func snapshot(t testing.TB, entries []entry, edit func(*bolt.Tx) error) []byte {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "db"), 0o600, &bolt.Options{PageSize: 1024, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("key"))
		if err != nil {
			return err
		}
		for _, e := range entries {
			kv := &mvccpb.KeyValue{Key: []byte(e.key), Value: []byte(e.value), ModRevision: e.revision}
			v, err := proto.Marshal(kv)
			if err != nil {
				return err
			}
			if err := b.Put(revisionKey(e.revision, e.deleted), v); err != nil {
				return err
			}
		}
		if edit == nil {
			return nil
		}
		return edit(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := db.View(func(tx *bolt.Tx) error { _, err := tx.WriteTo(&out); return err }); err != nil {
		t.Fatal(err)
	}
	return hashed(out.Bytes())
}

// hashed returns a database with the hash that it should have.
func hashed(database []byte) []byte {
	sum := sha256.Sum256(database)
	return append(bytes.Clone(database), sum[:]...)
}

var version = entry{2, "/muster/1/meta/version", "1", false}

// small is a store of a few records, one of which cannot be read and one is gone.
func small() []entry {
	all := []entry{
		version,
		{3, "/muster/1/reg/gen", "", false},
		{3, "/muster/1/reg/svc/public/DEFAULT_GROUP/api", `{"ephemeral":true}`, false},
		{4, "/muster/1/meta/epoch", "7", false},
		{5, "/muster/1/reg/ns/dev", `not JSON`, false},
		{6, "/muster/1/cfg/doc/public/DEFAULT_GROUP/app", `{"seq":1}`, false},
		{7, "/muster/1/cfg/seq/public/DEFAULT_GROUP/app", "1", false},
		{8, "/muster/1/reg/svc/public/DEFAULT_GROUP/gone", `{}`, false},
		{9, "/muster/1/reg/svc/public/DEFAULT_GROUP/gone", "", true},
		{10, "/elsewhere", "x", false},
	}
	for i := range int64(len(all)) { // two of one revision would lie under one key
		all[i].revision = i + 2
	}
	for n := range int64(60) { // for a tree of several pages
		key := fmt.Sprintf("/muster/1/reg/ins/public/DEFAULT_GROUP/api/10.0.0.%d:80", n)
		all = append(all, entry{20 + n, key, `{"cluster":"DEFAULT","weight":1,"enabled":true,"healthy":true}`, false})
	}
	return all
}

func TestVerifyTellsWhatIsThere(t *testing.T) {
	info := verify(t, write(t, snapshot(t, small(), nil)))
	if info.Revision != 79 || info.Keys != 68 || info.Services != 1 || info.Instances != 60 || info.Documents != 1 ||
		info.Unreadable != 1 || info.Layout != "1" || info.Epoch != 7 || info.Registry.Sum() == 0 || info.Configs.Sum() == 0 {
		t.Errorf("Verify() = %+v", info)
	}
}

// The last thing that etcd did may have been to delete a key, and to forget it.
func TestRevisionOfACompactedDeletion(t *testing.T) {
	path := write(t, snapshot(t, []entry{version}, func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		return b.Put([]byte("finishedCompactRev"), revisionKey(40, false))
	}))
	if got := verify(t, path).Revision; got != 40 {
		t.Errorf("Revision = %d, want 40", got)
	}
}

func TestVerifySaysWhatIsWrong(t *testing.T) {
	good := snapshot(t, small(), nil)
	database := good[:len(good)-sha256.Size]
	spoilt := func(edit func(*bolt.Tx) error) []byte { return snapshot(t, small(), edit) }
	put := func(bucket, k, v string) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(bucket))
			if err != nil {
				return err
			}
			return b.Put([]byte(k), []byte(v))
		}
	}
	newer := version
	newer.value = "2"
	for _, c := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"empty", nil, "it is empty"},
		{"a text", []byte(strings.Repeat("name: value\n", 200)), "is no snapshot"},
		{"a few bytes", good[:40], "is no snapshot"},
		{"cut off", good[:len(good)/2], "is truncated"},
		{"cut off by a byte", good[:len(good)-1], "is truncated"},
		{"without its hash", database, "no SHA-256"},
		{"a byte more", append(bytes.Clone(good), 0), "is damaged"},
		{"more of it", append(bytes.Clone(good), make([]byte, 512)...), "is damaged"},
		{"another byte", append([]byte{database[0] + 1}, good[1:]...), "is damaged"},
		{"no keys", snapshot(t, nil, func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("key")) }), "no keys"},
		{"a key that is no revision", spoilt(put("key", "zzz", "")), "is no revision"},
		{"a value that is no key and value", spoilt(put("key", string(revisionKey(99, false)), "\xff")), "revision 0000000000000063"},
		{"a compaction of nothing", spoilt(put("meta", "scheduledCompactRev", "x")), "is no revision"},
		{"of somebody else", snapshot(t, []entry{{2, "/registry/pods", "x", false}}, nil), "holds no data of muster"},
		{"of an etcd that was never written to", snapshot(t, nil, nil), "holds no data of muster"},
		{"of a newer layout", snapshot(t, []entry{newer}, nil), "newer muster"},
		{"of a layout with other keys", snapshot(t, []entry{{2, "/muster/2/meta/version", "2", false}}, nil), "newer muster"},
	} {
		path := write(t, c.content)
		_, err := backup.Verify(t.Context(), path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("Verify(%s) = %v, want %q and %s in it", c.name, err, c.want, path)
		}
	}
	if _, err := backup.Verify(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("Verify(a directory) = %v, want it refused", err)
	}
}

// Whichever byte of a backup changes, and wherever it ends, is noticed.
func TestDamageAnywhereIsFound(t *testing.T) {
	client, stop := startEtcd(t, t.TempDir())
	s := runStore(t, client)
	load(t, s, 10)
	path := save(t, s)
	stop()
	verify(t, path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := len(content)
	for at := 0; at < size; at += max(1, min(size/150, size-at-sha256.Size)) { // each byte of the hash
		damaged := bytes.Clone(content)
		damaged[at] ^= 0x10
		for what, c := range map[string][]byte{"with another byte": damaged, "that ends": content[:at]} {
			if err := os.WriteFile(path, c, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := backup.Verify(t.Context(), path); err == nil {
				t.Errorf("Verify(a backup of %d bytes %s at %d) = nil", size, what, at)
			}
		}
	}
}

// A database whose hash is right may still be none, and bbolt would loop.
func TestPagesThatFormNoTree(t *testing.T) {
	const page = 1024
	good := snapshot(t, small(), nil)
	database := good[:len(good)-sha256.Size]
	branch, leaf := 0, 0 // the last of each
	for at := 2 * page; at < len(database); at += page {
		switch kind := binary.NativeEndian.Uint16(database[at+8:]); {
		case kind == 1:
			branch = at
		case kind == 2 && binary.NativeEndian.Uint16(database[at+10:]) > 1:
			leaf = at
		}
	}
	if branch == 0 || leaf == 0 {
		t.Fatal("the database has no branches")
	}
	put16 := func(at int, n uint16) func([]byte) {
		return func(b []byte) { binary.NativeEndian.PutUint16(b[at:], n) }
	}
	put32 := func(at int, n uint32) func([]byte) {
		return func(b []byte) { binary.NativeEndian.PutUint32(b[at:], n) }
	}
	put64 := func(at int, n int) func([]byte) {
		return func(b []byte) { binary.NativeEndian.PutUint64(b[at:], uint64(n)) }
	}
	for _, c := range []struct {
		name, want string
		edit       func([]byte)
	}{
		{"a branch of nothing", "with 0 elements", put16(branch+10, 0)},
		{"a branch below itself", "twice", put64(branch+24, branch/page)},
		{"two branches to one page", "twice", put64(branch+24+16, int(binary.NativeEndian.Uint64(database[branch+24:])))},
		{"a branch beyond the end", "beyond the end", put64(branch+24, 1<<30)},
		{"a branch to the first page", "of kind", put64(branch+24, 0)},
		{"a branch's key that is too long", "reaches out of it", put32(branch+20, 1<<20)},
		{"a page of too many elements", "no room", put16(leaf+10, 0xffff)},
		{"a page of another number", "says that it is page", put64(leaf, 3)},
		{"a page of too many pages", "says that it is page", put32(leaf+12, 1<<30)},
		{"a page of unknown kind", "of kind 0x7", put16(leaf+8, 7)},
		{"a value that is too long", "reach out of it", put32(leaf+28, 1<<31)},
		{"a record that is called a bucket", "page", put32(leaf+16, 1)},
	} {
		changed := bytes.Clone(database)
		c.edit(changed)
		path := write(t, hashed(changed))
		_, err := backup.Verify(t.Context(), path)
		if err == nil || !strings.Contains(err.Error(), "its database is damaged: page") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Verify(%s) = %v, want %q", c.name, err, c.want)
		}
	}
}

// FuzzVerify changes a database and gives it the hash that it should have: what
// bbolt makes of it must become an error, never a panic or a loop without end.
func FuzzVerify(f *testing.F) {
	good := snapshot(f, small(), nil)
	database := good[:len(good)-sha256.Size]
	f.Add(uint32(0), []byte{})
	for page := 0; page < len(database); page += 1024 {
		for _, at := range []int{0, 8, 10, 12, 16, 20, 24, 28, 32} {
			f.Add(uint32(page+at), []byte{2, 0, 0, 0})
			f.Add(uint32(page+at), []byte{0xff, 0xff})
		}
	}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		changed := bytes.Clone(database)
		copy(changed[int(at)%len(changed):], patch)
		info, err := backup.Verify(t.Context(), write(t, hashed(changed)))
		if err == nil && info.Layout != "1" || err != nil && info.Bytes != 0 {
			t.Errorf("Verify(patched at %d with %x) = %+v, %v", at, patch, info, err)
		}
	})
}
