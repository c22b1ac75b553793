package etcdstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/registry"
)

// demand is what a write asks of etcd's file, from nothing to growth.
type demand int

const (
	frees   demand = iota // deletes, and puts nothing that it cannot do without
	notes                 // deletes, and puts down that it did; verdicts
	updates               // puts over what there is
	creates               // makes new keys
)

// Parts of the quota, in percent.
const (
	warnPart = 60 // an operator is told
	fullPart = 85 // new keys are refused, so that the rest can go on
	// A file may reach the quota before what is used of it does, as its free pages
	// do not fit what is written: new keys are refused then too.
	edgePart     = 95 // of the file
	edgeUsedPart = 70 // and of what is used of it
	// calmPart is below which etcd takes writes again after it had reached its
	// quota: not so near that it would reach it again at once.
	calmPart = 90
)

// Usage is how full etcd is, by its member that is nearest to its quota.
type Usage struct {
	Size  int64 // bytes of the file
	InUse int64 // bytes of it that defragmentation cannot win back
	Quota int64 // bytes that the file may grow to; 0: not known
	Alarm bool  // etcd has reached its quota and takes deletes only
	// Full says why nothing new is written, and what to do; empty: it is.
	Full string
}

// part reports whether n bytes are at least that many percent of the quota.
func (u *Usage) part(n int64, percent int64) bool { return u.Quota > 0 && n >= u.Quota/100*percent }

// guard knows whether there is room.
type guard struct {
	ask     chan struct{} // asks etcd at once
	usage   atomic.Pointer[Usage]
	alarm   atomic.Bool
	streams atomic.Int32          // backups under way, which a defragmentation would wait for
	space   atomic.Pointer[error] // why the disk takes nothing, nil: it does

	maintenance // owned by watchQuota
}

// Usage returns how full etcd was when it was last asked; all zero before.
func (s *Store) Usage() Usage {
	var u Usage
	if now := s.guard.usage.Load(); now != nil {
		u = *now
	}
	u.Alarm = s.guard.alarm.Load()
	if err := s.admit(creates); err != nil {
		u.Full = strings.TrimPrefix(err.Error(), registry.ErrFull.Error()+": ")
	}
	return u
}

// admit returns registry.ErrFull, with what to do about it, when there is no room
// for a write.
func (s *Store) admit(d demand) error {
	if d == frees {
		return nil
	}
	u := s.guard.usage.Load()
	if u == nil {
		u = &Usage{}
	}
	if s.guard.alarm.Load() {
		return fmt.Errorf("%w: etcd has reached its quota of %s and takes nothing but deletes: %s", registry.ErrFull, mebibytes(u.Quota), s.remedy())
	}
	if err := s.guard.space.Load(); err != nil && d > notes {
		return fmt.Errorf("%w: %w", registry.ErrFull, *err)
	}
	if d > updates && (u.part(u.InUse, fullPart) || u.part(u.Size, edgePart) && u.part(u.InUse, edgeUsedPart)) {
		return fmt.Errorf("%w: %s of the %s that etcd may use are taken (its file has %s), nothing new is added from %d %% on: delete what is not needed, or raise the quota",
			registry.ErrFull, mebibytes(u.InUse), mebibytes(u.Quota), mebibytes(u.Size), fullPart)
	}
	return nil
}

func (s *Store) remedy() string {
	if s.cfg.Maintain {
		return "delete what is not needed, or raise the quota"
	}
	return "delete what is not needed, or raise the quota; then compact and defragment etcd"
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// ready returns why a write of its own, not sent by the committer, need not be
// tried now.
func (s *Store) ready(d demand) error {
	if err := s.admit(d); err != nil {
		return err
	}
	return s.health.err(s.now())
}

// noSpace takes in that etcd refused a write for its quota.
func (s *Store) noSpace() {
	s.setAlarm(true)
	select {
	case s.guard.ask <- struct{}{}:
	default:
	}
}

func (s *Store) setAlarm(on bool) {
	switch was := s.guard.alarm.Swap(on); {
	case on && !was:
		s.log.Error("etcd has reached its quota and takes nothing but deletes", "do", s.remedy())
	case was && !on:
		s.log.Info("etcd has room again")
	}
}

// askSpace asks whether the disk has room.
func (s *Store) askSpace() {
	if s.cfg.Space == nil {
		return
	}
	err := s.cfg.Space()
	was := s.guard.space.Load()
	switch {
	case err != nil && was == nil:
		s.log.Error("nothing but deletes is written", "err", err)
	case err == nil && was != nil:
		s.log.Info("the disk has room again")
	}
	if err == nil {
		s.guard.space.Store(nil)
	} else {
		s.guard.space.Store(&err)
	}
}

// watchSpace asks whether the disk has room until ctx ends.
func (s *Store) watchSpace(ctx context.Context) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for s.cfg.Space != nil {
		s.askSpace()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// watchQuota asks etcd how full it is, and makes room, until ctx ends.
func (s *Store) watchQuota(ctx context.Context) error {
	if s.cfg.ReadOnly {
		return nil
	}
	tick := time.NewTicker(s.cfg.GuardEvery)
	defer tick.Stop()
	for {
		if members := s.statuses(ctx); len(members) > 0 {
			s.weigh(members)
			s.makeRoom(ctx, members)
		}
		select {
		case <-tick.C:
		case <-s.guard.ask:
		case <-ctx.Done():
			return nil
		}
	}
}

// statuses asks every member that the client knows; those that do not answer are
// left out.
func (s *Store) statuses(ctx context.Context) []*clientv3.StatusResponse {
	endpoints := s.client.Endpoints()
	if len(endpoints) == 0 {
		endpoints = []string{""} // in this process: there is only one
	}
	found := make([]*clientv3.StatusResponse, len(endpoints))
	var asked sync.WaitGroup
	for i, endpoint := range endpoints {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, commitTimeout)
			defer cancel()
			if resp, err := s.client.Status(ctx, endpoint); err == nil {
				found[i] = resp
			}
		})
	}
	asked.Wait()
	return slices.DeleteFunc(found, func(r *clientv3.StatusResponse) bool { return r == nil })
}

// weigh takes in how full the members are.
func (s *Store) weigh(members []*clientv3.StatusResponse) {
	var worst Usage
	alarm := false
	for i, m := range members {
		u := usageOf(m)
		alarm = alarm || u.Alarm
		if i == 0 || float64(u.InUse)*float64(worst.Quota) > float64(worst.InUse)*float64(u.Quota) {
			worst = u
		}
	}
	was := s.guard.usage.Swap(&worst)
	s.setAlarm(alarm)
	if worst.part(worst.InUse, warnPart) && (was == nil || !was.part(was.InUse, warnPart)) {
		s.log.Warn("etcd is filling up: delete what is not needed, or raise the quota",
			"in_use_bytes", worst.InUse, "quota_bytes", worst.Quota)
	}
	if worst.part(worst.Size, fullPart) && !worst.part(worst.InUse, fullPart) && (was == nil || !was.part(was.Size, fullPart)) && !s.cfg.Maintain {
		s.log.Warn("etcd's file is near its quota and much of it is free: defragment etcd",
			"size_bytes", worst.Size, "in_use_bytes", worst.InUse, "quota_bytes", worst.Quota)
	}
}

func usageOf(m *clientv3.StatusResponse) Usage {
	return Usage{Size: m.DbSize, InUse: m.DbSizeInUse, Quota: m.DbSizeQuota,
		Alarm: slices.ContainsFunc(m.Errors, func(e string) bool { return strings.Contains(e, "NOSPACE") })}
}
