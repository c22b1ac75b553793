package track

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/musterhq/muster/config"
)

// What is taken of texts, in bytes.
const (
	maxID      = 256
	maxRelease = 128
	maxDetail  = 512
)

// Heard notes that a client says which MD5 it holds of a document; empty: it
// holds nothing.
func (t *Track) Heard(c Client, k config.Key, md5 string, at time.Time) {
	t.report(c, k, md5, saying{what: held, at: at.UnixMilli()})
}

// Sent notes that a client was given the content with this MD5, by a release;
// empty: by none. It holds it once it says so.
func (t *Track) Sent(c Client, k config.Key, md5, release string, at time.Time) {
	t.report(c, k, md5, saying{what: sent, release: cut(release, maxRelease), at: at.UnixMilli()})
}

// Reported notes what a client says of the content with this MD5: StateWritten,
// StateApplied or StateRejected, and a detail for people.
func (t *Track) Reported(c Client, k config.Key, md5, state, detail string, at time.Time) {
	what, _ := number(states, state)
	if what != written && what != applied && what != rejected {
		t.metrics.refuse(refusedState)
		return
	}
	t.report(c, k, md5, saying{what: what, detail: strings.Clone(cut(detail, maxDetail)), at: at.UnixMilli()})
}

func (t *Track) report(c Client, k config.Key, md5 string, s saying) {
	var ok bool
	if s.kind, ok = number(kinds, c.Kind); !ok {
		t.metrics.refuse(refusedKind)
		return
	}
	if s.md5, ok = parseDigest(md5); !ok || s.md5 == (digest{}) && s.what != held {
		t.metrics.refuse(refusedDigest)
		return
	}
	t.mu.Lock()
	e := t.find(c.ID, k)
	if e != nil {
		t.bring(e, s)
	}
	t.mu.Unlock()
	if e == nil {
		t.meet(c.ID, k, s)
	}
}

// bring brings what was heard into an entry. It is called under mu.
func (t *Track) bring(e *entry, s saying) {
	if e.take(s, t.cfg.Active.Milliseconds()) {
		t.write(e)
	}
}

func cut(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}

// meet is report for who is not in memory: it may be in the file.
func (t *Track) meet(id string, k config.Key, s saying) {
	if !validID(id) {
		t.metrics.refuse(refusedID)
		return
	}
	if k.Validate() != nil {
		t.metrics.refuse(refusedKey)
		return
	}
	// The caller's names may lie in the buffer of a request.
	id = strings.Clone(id)
	k = config.Key{Namespace: strings.Clone(k.Namespace), Group: strings.Clone(k.Group), DataID: strings.Clone(k.DataID)}
	for {
		t.mu.Lock()
		epoch := t.epoch
		t.mu.Unlock()
		r, stored, err := t.file.load(k, id)
		if err != nil {
			t.metrics.unread.Inc()
		}
		if t.admit(id, k, s, r, stored, epoch) {
			return
		}
	}
}

// admit brings in what was heard over the record that the file had; false when
// the file may have something else by now.
func (t *Track) admit(id string, k config.Key, s saying, r record, stored bool, epoch uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.find(id, k)
	switch {
	case e != nil:
	case t.epoch != epoch:
		return false
	case t.clients[id] != nil && len(t.clients[id].docs) >= t.cfg.PerClient:
		t.metrics.refuse(refusedClient)
		return true
	case !stored && t.count >= t.cfg.Max:
		t.crowded = true
		t.metrics.refuse(refusedFull)
		return true
	default:
		e = t.add(id, k, r)
		if e.stored = r.seen; !stored {
			t.count++
		}
	}
	t.bring(e, s)
	return true
}

func validID(id string) bool {
	return id != "" && len(id) <= maxID && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}
