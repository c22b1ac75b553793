package plugin

import (
	"context"
	"net/netip"
	"time"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// Source is where answers come from. Its methods are asked for each query, so
// they read memory and take no lock; they are safe for concurrent use.
type Source interface {
	// Snapshot returns the roll as it stands, nil before it is known.
	Snapshot() *registry.Snapshot
	// Epoch is added to the snapshot's revision to make the SOA serial.
	Epoch() uint32
	// Stale returns how old the snapshot may be, and whether that is so old that
	// those who are answered should be told.
	Stale() (age time.Duration, stale bool)
}

// Keeper is a [Source] that wants to know for how long an answer is kept at the
// most by those who got it, but for what services say themselves.
type Keeper interface {
	Kept(longest time.Duration)
}

// Ruled is a [Source] that explains answers, and so wants to know by what rules a
// zone answers somebody at an address; an invalid one is unknown.
type Ruled interface {
	Rules(zone string, rule func(from netip.Addr) answer.Rule)
}

// Registrar is a [Source] of which instances may be changed, as registry.Registry
// has it.
type Registrar interface {
	Change(ctx context.Context, decide func(*registry.Snapshot) (registry.Changes, error)) (registry.Receipt, error)
}

// Changing is a Source that tells when it changes, which those who follow a zone
// are told by NOTIFY.
type Changing interface {
	Source
	// Changed returns a channel that is closed when the roll changes. To miss
	// nothing it is called before Snapshot.
	Changed() <-chan struct{}
}

type storageKey struct{}

// StorageKey is the key under which a process that runs CoreDNS inside itself
// puts its [Source] into the Storage of the caddy.Instance. Without one, and
// without etcd endpoints, the plugin has nothing to answer from.
var StorageKey storageKey
