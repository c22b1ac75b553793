package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Server says where one live server is found. Servers learn of each other by it
// and by nothing else.
type Server struct {
	ID      string    `json:"-"`
	Name    string    `json:"name,omitempty"`
	HTTP    string    `json:"http"` // URL
	DNS     string    `json:"dns"`  // host:port
	Version string    `json:"version"`
	Started time.Time `json:"started"`
}

// Servers is who is alive and who judges, as etcd last said. It is never
// modified.
type Servers struct {
	Live  []Server // ordered by id
	Judge string   // id of the server that holds the judge's office, empty: nobody
}

// ByID returns the live server of an id.
func (s *Servers) ByID(id string) (Server, bool) {
	i, found := slices.BinarySearchFunc(s.Live, id, func(v Server, id string) int { return strings.Compare(v.ID, id) })
	if !found {
		return Server{}, false
	}
	return s.Live[i], true
}

// presence is what a Store knows of servers, its own among them.
type presence struct {
	servers atomic.Pointer[Servers]
	lease   atomic.Int64 // that this server is announced under, 0 while it is not
}

// Servers returns the live servers; while etcd is away, those that were. It is
// never nil.
func (s *Store) Servers() *Servers {
	if now := s.presence.servers.Load(); now != nil {
		return now
	}
	return &Servers{}
}

// presenceTTL is how long a server that vanished stays on the list.
const presenceTTL = 10 // seconds

// Announce keeps this server on the list until ctx ends, then takes it off and
// returns nil. While etcd is away it goes on trying.
func (s *Store) Announce(ctx context.Context, self Server) error {
	value, err := json.Marshal(self)
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	pause := newPause()
	for ctx.Err() == nil {
		began := time.Now()
		err := s.present(ctx, serverPrefix+self.ID, string(value))
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > presenceTTL*time.Second {
			pause.reset()
		}
		s.log.Warn("this server is not on the list of servers, trying again", "err", err)
		_ = pause.wait(ctx) // only fails with ctx, which the loop asks
	}
	return nil
}

// present puts a key under a lease of its own and keeps it until ctx ends or the
// lease is lost.
func (s *Store) present(ctx context.Context, key, value string) error {
	lease, err := s.grant(ctx, presenceTTL)
	if err != nil {
		return err
	}
	defer s.revoke(ctx, lease)
	alive, err := s.client.KeepAlive(ctx, lease)
	if err != nil {
		return fmt.Errorf("keep lease: %w", err)
	}
	s.presence.lease.Store(int64(lease)) // before others see the key: then it may send mail
	defer s.presence.lease.Store(0)
	if err := s.putOnce(ctx, key, value, lease); err != nil {
		return err
	}
	for range alive { // until the lease ends, or ctx does
	}
	return errors.New("the lease ended")
}

func (s *Store) putOnce(ctx context.Context, key, value string, lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if _, err := s.client.Put(ctx, key, value, clientv3.WithLease(lease)); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// grant returns a new lease of ttl seconds.
func (s *Store) grant(ctx context.Context, ttl int64) (clientv3.LeaseID, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	lease, err := s.client.Grant(ctx, ttl)
	if err != nil {
		return 0, fmt.Errorf("new lease: %w", err)
	}
	return lease.ID, nil
}

// revoke ends a lease, also when ctx has ended: others need not wait for it.
func (s *Store) revoke(ctx context.Context, lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = s.client.Revoke(ctx, lease) // it ends by itself otherwise
}

// followServers keeps the list of servers until ctx ends, which is no error.
// Changes are rare and the list is short, so each one reads it anew.
func (s *Store) followServers(ctx context.Context) error {
	pause := newPause()
	for ctx.Err() == nil {
		revision, err := s.listServers(ctx)
		if err == nil {
			pause.reset()
			err = s.anyChanged(ctx, revision, serverPrefix, judgeKey)
		}
		if err != nil {
			_ = pause.wait(ctx) // only fails with ctx, which the loop asks
		}
	}
	return nil
}

func (s *Store) listServers(ctx context.Context) (revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	resp, err := s.client.Txn(ctx).Then(clientv3.OpGet(serverPrefix, clientv3.WithPrefix()), clientv3.OpGet(judgeKey)).Commit()
	if err != nil {
		return 0, err
	}
	now := &Servers{}
	for _, kv := range resp.Responses[0].GetResponseRange().Kvs {
		v := Server{ID: strings.TrimPrefix(string(kv.Key), serverPrefix)}
		if err := json.Unmarshal(kv.Value, &v); err != nil {
			s.unreadable(fmt.Errorf("server %s: %w", v.ID, err))
			continue
		}
		now.Live = append(now.Live, v)
	}
	for _, kv := range resp.Responses[1].GetResponseRange().Kvs {
		now.Judge = string(kv.Value)
	}
	s.presence.servers.Store(now)
	return resp.Header.Revision, nil
}

// anyChanged waits until a key that begins with one of the prefixes changes
// after revision.
func (s *Store) anyChanged(ctx context.Context, revision int64, prefixes ...string) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	first := make(chan error, len(prefixes))
	for _, p := range prefixes {
		ch := s.client.Watch(ctx, p, clientv3.WithPrefix(), clientv3.WithRev(revision+1))
		go func() { // ends with ctx, which the watch ends with
			for resp := range ch {
				first <- resp.Err()
				return
			}
			first <- errors.New("the watch ended")
		}()
	}
	return <-first
}
