package localdns_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/agent/localdns"
)

// The order that a server drew is given to one program, at once. All others who ask before
// the weights are known wait for these, but not for long.
func TestAddressesAreDrawnFromTheBeginning(t *testing.T) {
	const trip = 5 * time.Millisecond
	answer := zone(t, service(1, 65535)...)
	for name, c := range map[string]struct {
		shares  time.Duration // until the weights come
		address string        // that the others are given first
		end     func(asked time.Duration) time.Duration
	}{
		"they come": {trip, "192.0.2.2", func(time.Duration) time.Duration { return 2 * trip }},
		"they hang": {time.Hour, "192.0.2.1", func(asked time.Duration) time.Duration { return max(asked, trip) + 100*time.Millisecond }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := localdns.NewAsker(func(ctx context.Context, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
					delay := trip
					if q.Question[0].Qtype == dns.TypeSRV {
						delay = c.shares
					}
					select {
					case <-time.After(delay):
						return answer(q), nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}, near)
				defer r.Close()
				began := time.Now()
				ask := func(end time.Duration, address string) {
					m, err := r.Ask(t.Context(), order, dns.TypeA)
					if err != nil {
						t.Error(err)
						return
					}
					if got := m.Answer[0].(*dns.A).A.String(); got != address || time.Since(began) != end {
						t.Errorf("first address %s after %s, want %s after %s", got, time.Since(began), address, end)
					}
				}
				var all sync.WaitGroup
				all.Go(func() { ask(trip, "192.0.2.1") })
				synctest.Wait()
				for _, later := range []time.Duration{0, trip / 2, trip + trip/2} { // beside the first question, and behind its answer
					all.Go(func() {
						time.Sleep(later)
						ask(c.end(later), c.address)
					})
				}
				all.Wait()
			})
		})
	}
}
