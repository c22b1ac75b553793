package etcdstore

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
)

// Contents is all that an etcd keeps for Muster, at one revision.
type Contents struct {
	Registry   *registry.Snapshot
	Configs    *config.Snapshot
	Layout     string // version of the keys
	Epoch      uint32
	Unreadable int // keys of which readers see nothing
}

// ErrNoData means that Muster never wrote to an etcd.
var ErrNoData = errors.New("holds no data of muster")

// Decode returns what the keys of an etcd at a revision hold; they may come in
// any order, each at most once, and those of others are passed over. It fails on
// what a newer binary wrote, and with [ErrNoData].
func Decode(revision int64, kvs iter.Seq[*mvccpb.KeyValue]) (*Contents, error) {
	d := decoding{revision: revision}
	for kv := range kvs {
		d.take(kv)
	}
	d.flush()
	switch {
	case d.Layout == layout:
		return &d.Contents, nil
	case d.Layout != "":
		return nil, fmt.Errorf("layout %q, this binary knows %q: %w", d.Layout, layout, errLayout)
	case d.foreign != "":
		return nil, fmt.Errorf("key %q, this binary knows what begins with %q: %w", d.foreign, prefix, errLayout)
	}
	return nil, ErrNoData
}

// decodeBatch bounds what is held beside the snapshots in the making.
const decodeBatch = 10000

// anyPrefix is what keys of every layout begin with.
const anyPrefix = "/muster/"

// decoding is contents in the making.
type decoding struct {
	Contents

	revision int64
	records  []registry.Change
	configs  []config.Change
	foreign  string // a key of another layout
}

func (d *decoding) take(kv *mvccpb.KeyValue) {
	var err error
	e := &clientv3.Event{Type: mvccpb.Event_PUT, Kv: kv}
	switch key := string(kv.Key); {
	case key == versionKey:
		d.Layout = string(kv.Value)
	case key == epochKey:
		d.Epoch = parseEpoch(kv)
	case strings.HasPrefix(key, registryPrefix):
		var c registry.Change
		var ok bool
		if c, ok, err = recordChange(e); ok {
			d.records = append(d.records, c)
		}
	case strings.HasPrefix(key, configPrefix):
		var c config.Change
		var ok bool
		if c, ok, err = configChange(e, config.Decode); ok {
			d.configs = append(d.configs, c)
		}
	case strings.HasPrefix(key, anyPrefix) && !strings.HasPrefix(key, prefix):
		d.foreign = key
	}
	if err != nil {
		d.Unreadable++
	}
	if len(d.records)+len(d.configs) >= decodeBatch {
		d.flush()
	}
}

func (d *decoding) flush() {
	d.Registry, d.records = d.Registry.Apply(d.revision, d.records), d.records[:0]
	d.Configs, d.configs = d.Configs.Apply(d.revision, d.configs), d.configs[:0]
}

// recordChange decodes one event; false means that its key is none of a record.
// What cannot be read is a change too, with an error.
func recordChange(e *clientv3.Event) (registry.Change, bool, error) {
	key, ok, err := parseRecordKey(string(e.Kv.Key))
	c := registry.Change{Key: key, Revision: e.Kv.ModRevision}
	if ok && e.Type == mvccpb.Event_PUT {
		c.Record, err = registry.Decode(key, e.Kv.Value)
		if c.Unreadable = err != nil; c.Unreadable {
			c.Record = nil
		}
	}
	return c, ok, err
}
