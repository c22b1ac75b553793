package etcdstore

import (
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Spoil has the watches of a store that does not run yet lose events: those that
// f leaves out.
func Spoil(s *Store, f func([]*clientv3.Event) []*clientv3.Event) { s.spoil = f }

// Proof is what tells the age of snapshots.
type Proof struct{ proof }

// Read takes in that a probe which began then saw these revisions.
func (p *Proof) Read(began time.Duration, era, registry, config int64) {
	p.read(reading{began: began, era: era, need: [domains]int64{registry, config}})
}

// Show takes in that snapshots up to these revisions were published.
func (p *Proof) Show(era, registry, config int64) {
	p.show(registryDomain, progress{era, registry})
	p.show(configDomain, progress{era, config})
}

// Proven returns the begin of the newest probe that was shown.
func (p *Proof) Proven() time.Duration { return time.Duration(p.proven.Load()) }

// BehindRegistry reports whether a probe before then is not shown by the registry.
func (p *Proof) BehindRegistry(before time.Duration) bool { return p.behind(registryDomain, before) }

// StuckAfter is how long a watch may stay behind.
const StuckAfter = stuckAfter
