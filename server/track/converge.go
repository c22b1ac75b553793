package track

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/config"
)

// Convergence is how far a document has reached the clients that are there.
type Convergence struct {
	Clients  int     // that are there, those that only fetch aside
	OnNewest int     // that have what they should have
	Share    float64 // OnNewest of Clients; 1 when there are none
	// Took is the time from the publish until the last client had the newest, counted
	// from when it joined for one that did so later; nil while one has it not, and
	// when there are none.
	Took *time.Duration
	// Slowest are up to 10 clients: first those that do not have the newest, who has
	// held something else for longest first, then those that took longest.
	Slowest []Lag
}

// Lag is how long one client took.
type Lag struct {
	Holder Holder
	Took   *time.Duration // nil: it does not have the newest
}

const slowest = 10

// Convergence returns how far a document has reached the clients that this server
// heard of in the last [Config.Active]. See [Converge].
func (t *Track) Convergence(k config.Key, newest func(Holder) string, published time.Time) (Convergence, error) {
	all, err := t.Holders(k)
	return Converge(all, newest, published, t.ActiveSince(time.Now())), err
}

// Converge returns how far a document has reached its clients. Those count that
// were seen since a time and say themselves what they hold. newest returns the
// MD5 that one of them should have; empty: nothing. Who had it before it was
// published took no time.
func Converge(holders []Holder, newest func(Holder) string, published, since time.Time) Convergence {
	c := Convergence{Share: 1}
	var lags []Lag
	var last time.Duration
	for _, h := range holders {
		if h.Client.Kind == KindGet || h.Seen.Before(since) {
			continue
		}
		c.Clients++
		lag := Lag{Holder: h}
		if got, ok := h.Got(newest(h)); ok {
			c.OnNewest++
			took := max(min(got.Sub(published), got.Sub(h.Joined)), 0)
			lag.Took, last = &took, max(last, took)
		}
		lags = append(lags, lag)
	}
	if c.Clients == 0 {
		return c
	}
	c.Share = float64(c.OnNewest) / float64(c.Clients)
	if c.OnNewest == c.Clients {
		c.Took = &last
	}
	slices.SortFunc(lags, slower)
	c.Slowest = slices.Clone(lags[:min(len(lags), slowest)])
	return c
}

// slower orders who is slower first.
func slower(a, b Lag) int {
	var order int
	switch {
	case a.Took == nil && b.Took == nil:
		order = a.Holder.Since.Compare(b.Holder.Since)
	case a.Took == nil:
		return -1
	case b.Took == nil:
		return 1
	default:
		order = cmp.Compare(*b.Took, *a.Took)
	}
	return cmp.Or(order, strings.Compare(a.Holder.Client.ID, b.Holder.Client.ID))
}
