package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

// The instances that the test registers over HTTP, and their weights.
var weighted = map[string]float64{"10.0.0.1": 1, "10.0.0.2": 3}

// shortLived is metadata that has an instance judged as the constants say.
const shortLived = `{"preserved.heart.beat.interval":"1000","preserved.heart.beat.timeout":"6000","preserved.ip.delete.timeout":"9000"}`

// Instances that are registered and kept with nothing but HTTP calls: they are
// answered while they have weight, and judged when their beats stop.
func TestInstancesOverHTTP(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	for ip, weight := range weighted {
		s.call(http.MethodPost, pathInstance, params("serviceName", "order-api", "ip", ip, "port", "8080",
			"weight", fmt.Sprint(weight), "metadata", shortLived))
	}
	stopBeats := s.beat(t)
	began := time.Now()
	eventually(t, removedAfter+time.Minute, "the time is over after which they would be gone without beats", func() bool {
		if at, err := located(s.dns, "order-api"); err != nil || len(at) != len(weighted) {
			t.Fatalf("SRV %v after the first beat = %q, %v, want both instances", time.Since(began), at, err)
		}
		return time.Since(began) > removedAfter
	})

	t.Run("weight 0 is not answered", func(t *testing.T) {
		s.call(http.MethodPut, pathInstance, params("serviceName", "order-api", "ip", "10.0.0.2", "port", "8080",
			"weight", "0", "metadata", shortLived))
		reply, err := exchange(s.dns, "order-api"+zone, dns.TypeA)
		if err != nil || !slices.Equal(addressesIn(reply), []string{"10.0.0.1"}) {
			t.Errorf("A = %v, %v, want 10.0.0.1 alone", reply, err)
		}
		if !isLocated(s.dns, "order-api", "0 1000 10.0.0.1:8080") {
			t.Error("SRV still holds the instance of weight 0")
		}
	})
	s.call(http.MethodPut, pathInstance, params("serviceName", "order-api", "ip", "10.0.0.2", "port", "8080",
		"weight", "3", "metadata", shortLived))
	if !isLocated(s.dns, "order-api", "0 1000 10.0.0.1:8080", "0 3000 10.0.0.2:8080") {
		t.Error("SRV lacks an instance that got its weight back")
	}

	last := stopBeats()
	during(t, last, unhealthyAfter, unhealthyAfter, "unhealthy", func() bool {
		hosts := s.hosts("order-api")
		return len(hosts) == 2 && !hosts[0].Healthy && !hosts[1].Healthy
	})
	if !isLocated(s.dns, "order-api") {
		t.Error("SRV holds unhealthy instances")
	}
	during(t, last, removedAfter, removedAfter, "removed", func() bool { return len(s.hosts("order-api")) == 0 })
}

// beat keeps the instances alive until stop is called, which returns when the
// last beat was sent.
func (s *serverProcess) beat(t *testing.T) (stop func() time.Time) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var last time.Time
	var g errgroup.Group
	g.Go(func() error {
		tick := time.NewTicker(beatInterval)
		defer tick.Stop()
		for {
			now := time.Now()
			for ip := range weighted {
				status, body, err := request(http.MethodPut, s.url()+pathInstance+"/beat", params("serviceName", "order-api", "ip", ip, "port", "8080"))
				if err != nil || status != http.StatusOK || body != `{"clientBeatInterval":1000,"code":10200,"lightBeatEnabled":true}` {
					return fmt.Errorf("beat of %s = %d %q, %w", ip, status, body, err)
				}
			}
			last = now
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
	stop = sync.OnceValue(func() time.Time {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		return last
	})
	t.Cleanup(func() { stop() })
	return stop
}
