package registry

import (
	"iter"
	"strings"

	"github.com/musterhq/muster/internal/trie"
)

// DiffHoldings yields the instances that lie under another connection, or came to one or
// left it, between two snapshots.
func DiffHoldings(was, is *Snapshot) iter.Seq[InstanceKey] {
	return func(yield func(InstanceKey) bool) {
		more := true
		trie.Diff(was.holdings, is.holdings, func(k InstanceKey, _, _ kept[*Holding]) { more = more && yield(k) })
	}
}

// DiffJudged yields the connections about which a verdict fell between two snapshots: that
// were called silent, or from which something was removed. One may come more than once.
func DiffJudged(was, is *Snapshot) iter.Seq[string] {
	return func(yield func(string) bool) {
		more := true
		trie.Diff(was.verdicts, is.verdicts, func(k VerdictKey, _, v kept[*Verdict]) {
			if id, ok := strings.CutPrefix(k.Witness, witnessConnection); ok && v.record != nil {
				more = more && yield(id)
			}
		})
		for k := range DiffHoldings(was, is) {
			if h, held := was.holdings.Get(k); more && held && is.Instance(k) == nil && !is.Buried(k) {
				more = yield(h.record.Connection)
			}
		}
	}
}

// holding keeps the connections in step with a record, nil for none.
func (b *builder) holding(k InstanceKey, h *Holding) {
	if was, ok := b.holdings.Get(k); ok {
		b.editConnection(was.record.Connection).put(k, false)
	}
	if h != nil {
		b.editConnection(h.Connection).put(k, true)
	}
	b.moved[k] = true
}

func (b *builder) editConnection(id string) *gathering {
	if c := b.editedConnections[id]; c != nil {
		return c
	}
	c := new(gathering)
	if was := b.Connection(id); was != nil {
		c.was = was.Instances
	}
	b.editedConnections[id] = c
	return c
}

// rejoinMoved marks instances that came under another connection, if readers see a
// difference by it: one of the two is silent.
func (b *builder) rejoinMoved() {
	for k := range b.moved {
		if i := b.Instance(k); i != nil && i.Witness == WitnessConnection && i.Silent != b.judged(i) {
			b.rejoin(k)
		}
	}
}

// judged reports whether a verdict of silence stands on the witness of an instance.
func (s *Snapshot) judged(i *Instance) bool {
	v, ok := s.verdicts.Get(VerdictKey{s.witnessID(i), i.Timeouts.class()})
	return ok && v.record.Incarnation == s.incarnation(i)
}
