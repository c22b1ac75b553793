package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// defragEvery is how often a file is defragmented at the most, as its member
	// answers nothing meanwhile. When etcd is full, that is how it gets out of it:
	// then it may do so after defragEveryFull, and for one part in defragPart of
	// the time.
	defragEvery     = time.Hour
	defragEveryFull = 5 * time.Second
	defragPart      = 10
	// defragFloor and defragRate bound how long a defragmentation may take: the
	// key that excludes others goes after that by itself.
	defragFloor = time.Minute
	defragRate  = 10 << 20 // bytes a second
)

// maintenance remembers what was done last.
type maintenance struct {
	defragmented time.Time
	took         time.Duration
	squeezed     int64  // revision that was compacted before the file was defragmented
	compacted    int64  // revision
	complaint    string // the last error logged, so that it is logged once
}

// makeRoom defragments by policy, and leads etcd out of an alarm when there is
// room again. While so much is used that nothing new is taken it compacts: deletes
// free nothing before, and are what is asked for then.
func (s *Store) makeRoom(ctx context.Context, members []*clientv3.StatusResponse) {
	var err error
	own := usageOf(members[0])
	switch {
	case s.guard.alarm.Load():
		err = s.leaveAlarm(ctx, members)
	case !s.cfg.Maintain:
	case own.part(own.InUse, fullPart):
		if err = s.compact(ctx); err == nil {
			err = s.recount(ctx)
		}
	case s.worthIt(own) && time.Since(s.guard.defragmented) > defragEvery:
		err = s.exclusively(ctx, own.Size, func() error { return s.defragment(ctx, own.Size) })
	}
	switch {
	case err == nil:
		s.guard.complaint = ""
	case err.Error() != s.guard.complaint && ctx.Err() == nil:
		s.guard.complaint = err.Error()
		s.log.Warn("no room was made in etcd", "err", err)
	}
}

// worthIt reports whether a file is large and mostly free, or near its quota for
// no good reason.
func (s *Store) worthIt(u Usage) bool {
	return u.Size >= s.cfg.DefragmentBytes && u.InUse < u.Size/2 || u.part(u.Size, fullPart) && u.InUse < u.Size/4*3
}

// leaveAlarm disarms the alarm of members that have room again. Its own member
// it compacts and defragments for that: deletes free nothing before.
func (s *Store) leaveAlarm(ctx context.Context, members []*clientv3.StatusResponse) error {
	if s.cfg.Maintain {
		own, err := s.squeeze(ctx)
		if err != nil {
			return err
		}
		members = []*clientv3.StatusResponse{own}
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	left := false
	for _, m := range members {
		u := usageOf(m)
		if left = left || u.part(u.Size, calmPart); u.part(u.Size, calmPart) {
			continue
		}
		alarm := clientv3.AlarmMember{MemberID: m.Header.MemberId, Alarm: etcdserverpb.AlarmType_NOSPACE}
		if _, err := s.client.AlarmDisarm(ctx, &alarm); err != nil {
			return fmt.Errorf("disarm: %w", err)
		}
	}
	if !left {
		if now := s.statuses(ctx); len(now) > 0 {
			s.weigh(now)
		}
	}
	return nil
}

// squeeze compacts, and defragments the own member once that would win room. It
// returns the member's status then.
func (s *Store) squeeze(ctx context.Context) (*clientv3.StatusResponse, error) {
	if err := s.compact(ctx); err != nil {
		return nil, fmt.Errorf("compact: %w", err)
	}
	now := s.statuses(ctx)
	if len(now) == 0 {
		return nil, errors.New("etcd does not say how full it is")
	}
	own := now[0]
	// Not by what is in use: while nothing is written, etcd does not count anew.
	size, pause := own.DbSize, max(defragEveryFull, defragPart*s.guard.took)
	if u := usageOf(own); u.part(size, calmPart) && s.guard.compacted != s.guard.squeezed &&
		time.Since(s.guard.defragmented) > pause && s.turn(ctx, own) {
		if err := s.defragment(ctx, size); err != nil {
			return nil, err
		}
		s.guard.squeezed = s.guard.compacted
		if now = s.statuses(ctx); len(now) > 0 {
			own = now[0]
		}
	}
	return own, nil
}

// compact drops all history, unless it has done so since the last write.
func (s *Store) compact(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, defragFloor)
	defer cancel()
	resp, err := s.client.Get(ctx, versionKey)
	if err != nil || resp.Header.Revision == s.guard.compacted {
		return err
	}
	_, err = s.client.Compact(ctx, resp.Header.Revision, clientv3.WithCompactPhysical())
	if err == nil || errors.Is(err, rpctypes.ErrCompacted) {
		s.guard.compacted = resp.Header.Revision
		return nil
	}
	return err
}

// recount makes etcd count what is in use: what a write frees it counts with the next
// one, and there may be no next one while nothing new is taken. A lease is the smallest.
func (s *Store) recount(ctx context.Context) error {
	lease, err := s.grant(ctx, int64(defragFloor/time.Second))
	if err == nil {
		s.revoke(ctx, lease)
	}
	return err
}

// turn reports whether it is the own member's minute. An etcd that is full takes
// no key that could exclude others.
func (s *Store) turn(ctx context.Context, own *clientv3.StatusResponse) bool {
	resp, err := s.client.MemberList(ctx)
	if err != nil {
		return false
	}
	i := slices.IndexFunc(resp.Members, func(m *etcdserverpb.Member) bool { return m.ID == own.Header.MemberId })
	return i >= 0 && int(time.Now().Unix()/60)%len(resp.Members) == i
}

// exclusively runs f while it holds the key that one member at a time holds; it
// does not run it when another one does.
func (s *Store) exclusively(ctx context.Context, size int64, f func() error) error {
	lease, err := s.grant(ctx, int64(defragFloor/time.Second)+size/defragRate)
	if err != nil {
		return err
	}
	defer s.revoke(ctx, lease)
	resp, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(defragKey), "=", 0)).
		Then(clientv3.OpPut(defragKey, strconv.FormatInt(int64(lease), 16), clientv3.WithLease(lease))).Commit()
	if err != nil || !resp.Succeeded {
		return err
	}
	return f()
}

// defragment rewrites the own member's file without what is free in it.
func (s *Store) defragment(ctx context.Context, size int64) error {
	if s.guard.streams.Load() > 0 {
		return errors.New("a backup is under way: not defragmented before it has ended")
	}
	ctx, cancel := context.WithTimeout(ctx, defragFloor+time.Duration(size/defragRate)*time.Second)
	defer cancel()
	endpoint := ""
	if endpoints := s.client.Endpoints(); len(endpoints) > 0 {
		endpoint = endpoints[0]
	}
	s.guard.defragmented = time.Now()
	began := s.now()
	_, err := s.client.Defragment(ctx, endpoint)
	took := s.now() - began
	if err != nil {
		return fmt.Errorf("defragment: %w", err)
	}
	s.guard.took = took
	s.metrics.defrag.Observe(took.Seconds())
	now := s.statuses(ctx)
	if len(now) > 0 {
		s.weigh(now)
		s.log.Info("etcd's file was defragmented", "was_bytes", size, "bytes", now[0].DbSize, "took", took)
	}
	return nil
}
