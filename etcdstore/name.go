package etcdstore

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Name tells stores apart: it is chosen at random by the first server of a store
// and kept in it. Revisions of stores with different names have nothing to do
// with each other, and those of a cluster's id may: it is made of addresses. It is
// empty before the first full list, and where none could be written.
func (s *Store) Name() string {
	name, _ := s.name.Load().(string)
	return name
}

// nameLength is how many letters a name has: enough that no two stores that one
// client meets have the same.
const nameLength = 10

// claimName reads the store's name, and gives it one if it has none and can be
// written.
func (s *Store) claimName(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	for {
		resp, err := s.client.Get(ctx, nameKey)
		if err != nil {
			return err
		}
		if len(resp.Kvs) == 1 {
			s.name.Store(string(resp.Kvs[0].Value))
			return nil
		}
		if s.cfg.ReadOnly {
			return nil
		}
		_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(nameKey), "=", 0)).
			Then(clientv3.OpPut(nameKey, strings.ToLower(rand.Text()[:nameLength]))).Commit()
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return nil // it serves without one
		}
		if err != nil {
			return err
		}
	}
}
