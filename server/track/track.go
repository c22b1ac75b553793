// Package track remembers which client holds which version of a document, and since when.
//
// Each server keeps what it heard itself, in a file of its own; [Merge] joins what
// several servers say. In memory is who was heard of lately, and what is not yet
// in the file: to hear the same again costs two look-ups and writes nothing. What
// changed is written once a second, when a client was seen far less often. A
// server that is killed forgets the last second, or a little more when very much
// changed in it; clients say it again with their next poll.
package track

import (
	"cmp"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/config"
)

// Config is what a Track needs.
type Config struct {
	// Path is the file of the track. It is made when it is not there, its directory
	// is not. A damaged one is set aside as Path + ".damaged", in place of one that
	// was before.
	Path string

	// Active is how long a client that is not heard of counts as one that is there;
	// 0 means 90 s.
	Active time.Duration
	// Keep is how long it is remembered; 0 means 7 days. It is never shorter than
	// Active and Refresh together.
	Keep time.Duration
	// Refresh is how old the time when a client was seen may get in the file, while
	// nothing else changes; 0 means 10 min. After a crash clients seem to be gone
	// for up to that, until they are heard of.
	Refresh time.Duration
	// Max bounds what is kept: one entry for a client and a document, about 200 bytes
	// of disk, and of memory while the client is there; 0 means 1,000,000. When it is
	// almost reached, who was not heard of for longest is forgotten before Keep is
	// over; those who are there never are, and new entries are refused.
	Max int
	// PerClient bounds the documents of one client that are in memory; 0 means 10,000.
	PerClient int

	// Logger gets a line when the file is damaged, cannot be written, and can be
	// again; nil means none.
	Logger *slog.Logger
	// Registerer gets the metrics; nil means none.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	c.Active = cmp.Or(c.Active, 90*time.Second)
	c.Refresh = cmp.Or(c.Refresh, 10*time.Minute)
	c.Keep = max(cmp.Or(c.Keep, 7*24*time.Hour), c.Active+c.Refresh)
	c.Max = cmp.Or(c.Max, 1_000_000)
	c.PerClient = cmp.Or(c.PerClient, 10_000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Track is safe for concurrent use.
type Track struct {
	cfg     Config
	file    *file
	metrics *metrics

	mu      sync.Mutex // guards what is below
	clients map[string]*client
	docs    map[config.Key]*document
	recent  int      // entries in memory
	count   int      // entries, also those in the file alone
	changed []*entry // that are to be written
	crowded bool     // an entry was refused because there are Max
	// epoch grows whenever entries leave memory or the file: who has read the file
	// before cannot tell what is there.
	epoch uint64

	// Run's own:
	sweep   sweep
	failing bool // the last transaction failed
	retryIn time.Duration
	retryAt time.Time
}

type client struct {
	id   string
	docs map[*document]*entry
}

type document struct {
	key     config.Key
	holders map[*client]*entry
}

// entry is a record that is in memory.
type entry struct {
	record
	client *client
	doc    *document
	stored int64 // when the client was seen, as the file has it; 0: the record is not in it
	dirty  bool  // it is in Track.changed
}

// Open opens the file; Run writes to it, and Close closes it. The error is about
// a file that cannot be made or is in use, never about one that is damaged.
func Open(cfg Config) (*Track, error) {
	if cfg.Path == "" {
		return nil, errors.New("track: a path is needed")
	}
	cfg = cfg.withDefaults()
	t := &Track{cfg: cfg, clients: make(map[string]*client), docs: make(map[config.Key]*document)}
	t.metrics = newMetrics()
	var err error
	if t.file, t.count, err = openFile(cfg.Path, t.damaged); err != nil {
		return nil, err
	}
	if err := t.register(cfg.Registerer); err != nil {
		return nil, errors.Join(err, t.file.close())
	}
	return t, nil
}

// damaged tells of a file that was set aside.
func (t *Track) damaged(aside string, err error) {
	t.metrics.damaged.Inc()
	t.cfg.Logger.Error("the push track is damaged and begins anew", "aside", aside, "err", err)
}

// Close closes the file. It comes after Run has returned; what is heard later is
// lost.
func (t *Track) Close() error { return t.file.close() }

// ActiveSince returns since when a client must have been heard of to be there.
func (t *Track) ActiveSince(now time.Time) time.Time { return now.Add(-t.cfg.Active) }

// find returns an entry that is in memory, or nil. It is called under mu.
func (t *Track) find(id string, k config.Key) *entry {
	c := t.clients[id]
	if c == nil {
		return nil
	}
	d := t.docs[k]
	if d == nil {
		return nil
	}
	return c.docs[d]
}

// add brings a record into memory. It is called under mu.
func (t *Track) add(id string, k config.Key, r record) *entry {
	c, d := t.clients[id], t.docs[k]
	if c == nil {
		c = &client{id: id, docs: make(map[*document]*entry)}
		t.clients[id] = c
	}
	if d == nil {
		d = &document{key: k, holders: make(map[*client]*entry)}
		t.docs[k] = d
	}
	e := &entry{record: r, client: c, doc: d}
	c.docs[d], d.holders[c] = e, e
	t.recent++
	return e
}

// drop takes an entry out of memory. It is called under mu.
func (t *Track) drop(e *entry) {
	delete(e.client.docs, e.doc)
	delete(e.doc.holders, e.client)
	if len(e.client.docs) == 0 {
		delete(t.clients, e.client.id)
	}
	if len(e.doc.holders) == 0 {
		delete(t.docs, e.doc.key)
	}
	t.recent--
	t.epoch++
}

// write has an entry written with the next transaction. It is called under mu.
func (t *Track) write(e *entry) {
	if !e.dirty {
		e.dirty = true
		t.changed = append(t.changed, e)
	}
}
