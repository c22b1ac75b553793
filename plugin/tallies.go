package plugin

import (
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/internal/tally"
	"github.com/musterhq/muster/zone"
)

// tallies are the metrics of what one socket is answered on its hot path. Each is made
// when it is first needed, as those of other answers are.
type tallies struct {
	tally     tally.Tally
	server    string
	responses [3][2]*tally.Counter // by type and whether the name exists
	empty     [2]*tally.Counter
	duration  *tally.Histogram
}

// plainTypes are the types that are answered from the wire.
var plainTypes = [...]uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV}

// count counts an answer to a question of a type.
func (t *tallies) count(qtype uint16, found zone.Plain) {
	typed, missing := 0, b2i(found.Status == answer.NoName)
	for plainTypes[typed] != qtype {
		typed++
	}
	c := &t.responses[typed][missing]
	if *c == nil {
		rcode := [...]int{dns.RcodeSuccess, dns.RcodeNameError}[missing]
		*c = t.tally.Counter(responses, t.server, transportUDP, dns.TypeToString[qtype], dns.RcodeToString[rcode])
	}
	(*c).Inc()
	if found.Status != answer.NoData {
		return
	}
	why := b2i(found.Reason == answer.NoneHealthy)
	if t.empty[why] == nil {
		t.empty[why] = t.tally.Counter(empty, t.server, emptyReasons[why])
	}
	t.empty[why].Inc()
}

// sent counts how long n answers took.
func (t *tallies) sent(n int, took time.Duration) {
	if t.duration == nil {
		t.duration = t.tally.Histogram(duration, t.server, transportUDP)
	}
	t.duration.Observe(uint64(max(took, 0)), uint64(n))
}

// hots are the tallies of all hot paths that were made.
type hots struct {
	mu  sync.Mutex
	all []*tallies
}

func (h *hots) add(t *tallies) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, t)
}

// end ends them when nothing is asked any more.
func (h *hots) end() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.all {
		t.tally.End()
	}
	h.all = nil
	return nil
}
