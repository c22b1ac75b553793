package backup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// etcd keeps every revision of every key in the bucket "key", under main and sub
// revision as two big-endian numbers with "_" between; a "t" at the end says that
// the key was deleted.
const (
	revisionBytes = 17
	tombstone     = 't'
)

// revisionOf returns the main revision of a key of the bucket.
func revisionOf(k []byte) (revision int64, deleted bool, err error) {
	deleted = len(k) == revisionBytes+1 && k[revisionBytes] == tombstone
	if len(k) != revisionBytes && !deleted || k[8] != '_' {
		return 0, false, fmt.Errorf("%x is no revision", k)
	}
	return int64(binary.BigEndian.Uint64(k)), deleted, nil
}

// state is the state at the last revision in a database of etcd.
type state struct {
	tx   *bolt.Tx
	keys int   // found by standing
	err  error // why standing stopped early
}

// revision returns the last revision. The bucket does not tell of it when what
// was committed then has been compacted away.
func (s *state) revision() (int64, error) {
	b := s.tx.Bucket([]byte("key"))
	if b == nil {
		return 0, errors.New("it has no keys")
	}
	last := int64(1) // of an etcd that was never written to
	if k, _ := b.Cursor().Last(); k != nil {
		revision, _, err := revisionOf(k)
		if err != nil {
			return 0, err
		}
		last = max(last, revision)
	}
	meta := s.tx.Bucket([]byte("meta"))
	for _, name := range []string{"scheduledCompactRev", "finishedCompactRev"} {
		if meta == nil {
			break
		}
		if v := meta.Get([]byte(name)); v != nil {
			revision, _, err := revisionOf(v)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
			last = max(last, revision)
		}
	}
	return last, nil
}

// standing yields what was not deleted, newest first: so the first revision of a
// key that is met is the one that stands.
func (s *state) standing(ctx context.Context) iter.Seq[*mvccpb.KeyValue] {
	return func(yield func(*mvccpb.KeyValue) bool) {
		met := map[string]struct{}{}
		c := s.tx.Bucket([]byte("key")).Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			kv, deleted, err := keyValue(k, v)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				s.err = err
				return
			}
			// A restore leaves a revision of no key behind, to raise the last one.
			if _, again := met[string(kv.Key)]; again || len(kv.Key) == 0 {
				continue
			}
			met[string(kv.Key)] = struct{}{}
			if deleted {
				continue
			}
			s.keys++
			if !yield(kv) {
				return
			}
		}
	}
}

func keyValue(k, v []byte) (*mvccpb.KeyValue, bool, error) {
	_, deleted, err := revisionOf(k)
	if err != nil {
		return nil, false, fmt.Errorf("its database is damaged: %w", err)
	}
	kv := new(mvccpb.KeyValue)
	if err := proto.Unmarshal(v, kv); err != nil {
		return nil, false, fmt.Errorf("its database is damaged: revision %x: %w", k, err)
	}
	return kv, deleted, nil
}
