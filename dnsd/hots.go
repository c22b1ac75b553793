package dnsd

import (
	"net/netip"
	"slices"
	"time"

	"github.com/musterhq/muster/internal/tally"
)

// hots are the hot paths of one socket for one generation. They belong to the goroutine
// that reads the socket, from the start of the generation on.
type hots struct {
	routes   *routes
	paths    []HotPath // by the number of the shortcut; nil where there is none
	answered []int     // by each since the last batch
	reported [][]*reported
	panics   *panics

	all      int // answered in the batch at hand
	tally    tally.Tally
	counter  *tally.Counter
	question question
}

// newHots makes the hot paths of one socket, nil when there are none.
func newHots(r *routes, p *panics) (h *hots, whys []string) {
	h = &hots{routes: r, panics: p, answered: make([]int, len(r.shortcuts))}
	for _, s := range r.shortcuts {
		path, why := s.HotPath(r.server)
		if path == nil {
			whys = append(whys, why)
		}
		h.paths = append(h.paths, path)
	}
	if !slices.ContainsFunc(r.zones, func(z route) bool { return z.shortcut >= 0 && h.paths[z.shortcut] != nil }) {
		return nil, whys
	}
	for _, z := range r.zones {
		var all []*reported
		for _, to := range z.reports {
			all = append(all, newReported(&h.tally, to))
		}
		h.reported = append(h.reported, all)
	}
	h.counter = h.tally.Counter(hotAnswers, r.server)
	return h, whys
}

// answer writes the answer to a query into buf. When ok is false CoreDNS has to answer.
func (h *hots) answer(buf, query []byte, from netip.AddrPort) (n int, ok bool) {
	if h == nil || !h.question.read(query) {
		return 0, false
	}
	q := &h.question
	zone := h.routes.of(q)
	if zone < 0 {
		return 0, false
	}
	to := &h.routes.zones[zone]
	if to.shortcut < 0 || h.paths[to.shortcut] == nil || to.bare && q.options {
		return 0, false
	}
	if n, ok = h.ask(to.shortcut, buf, query, from); !ok {
		return 0, false
	}
	h.answered[to.shortcut]++
	h.all++
	for i := range to.reports {
		if q.in(to.reports[i].within) {
			h.reported[zone][i].count(q, query, buf[:n], from.Addr())
			break
		}
	}
	return n, true
}

// ask asks a hot path. Where it panics CoreDNS answers.
func (h *hots) ask(shortcut int, buf, query []byte, from netip.AddrPort) (n int, ok bool) {
	defer func() {
		if v := recover(); v != nil {
			h.panics.count(h.routes.server, v)
			n, ok = 0, false
		}
	}()
	n, ok = h.paths[shortcut].Answer(buf, query, from)
	return n, ok && n <= len(buf)
}

// tell takes what was counted of a batch into the metrics. It is called before the answers
// are sent: whoever has one finds it counted.
func (h *hots) tell() {
	if h == nil || h.all == 0 {
		return
	}
	h.counter.Add(uint64(h.all))
	for _, zone := range h.reported {
		for _, r := range zone {
			r.tell()
		}
	}
}

// sent says that the answers of a batch are sent, and how long that took since they were
// read.
func (h *hots) sent(took time.Duration) {
	if h == nil || h.all == 0 {
		return
	}
	h.all = 0
	for i, n := range h.answered {
		if n > 0 {
			h.paths[i].Sent(n, took)
			h.answered[i] = 0
		}
	}
	for _, zone := range h.reported {
		for _, r := range zone {
			r.sent(took)
		}
	}
}

// end takes what was counted into the metrics. The goroutine has gone on to the next
// generation.
func (h *hots) end() {
	if h != nil {
		h.tally.End()
	}
}
