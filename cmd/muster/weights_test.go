package main

import (
	"context"
	"fmt"
	"math"
	"net"
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
const shortLived = `{"preserved.heart.beat.interval":"1000","preserved.heart.beat.timeout":"3000","preserved.ip.delete.timeout":"6000"}`

// Instances that are registered and kept with nothing but HTTP calls: they are
// answered by weight, and judged when their beats stop.
func TestInstancesOverHTTP(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	for ip, weight := range weighted {
		s.call(http.MethodPost, pathInstance, params("serviceName", "order-api", "ip", ip, "port", "8080",
			"weight", fmt.Sprint(weight), "metadata", shortLived))
	}
	stopBeats := s.beat(t)

	const questions, critical = 100_000, 23.93 // chi-square, one degree of freedom, 1e-6
	began := time.Now()
	first := firstAddresses(t, s.dns, "order-api"+zone, questions)
	t.Logf("%d answers in %v: %v", questions, time.Since(began), first)
	if x2 := chiSquare(first, weighted, questions); x2 > critical {
		t.Errorf("first addresses %v are off the weights %v: X2 = %.2f, want at most %.2f", first, weighted, x2, critical)
	} else {
		t.Logf("X2 = %.2f", x2)
	}

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

// chiSquare measures how far counts are from the shares that weights ask for.
func chiSquare(counts map[string]int, weights map[string]float64, n int) (x2 float64) {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	for value := range counts {
		if weights[value] == 0 {
			return math.Inf(1)
		}
	}
	for value, w := range weights {
		want := float64(n) * w / sum
		x2 += (float64(counts[value]) - want) * (float64(counts[value]) - want) / want
	}
	return x2
}

// firstAddresses asks for the addresses of name n times and counts which is
// the first of each answer.
func firstAddresses(t *testing.T, server, name string, n int) map[string]int {
	t.Helper()
	const sockets = 16
	all := make(map[string]int)
	var mu sync.Mutex
	var g errgroup.Group
	for range sockets {
		g.Go(func() error {
			counts := make(map[string]int)
			err := askRepeatedly(t.Context(), server, name, n/sockets, func(first string) { counts[first]++ })
			mu.Lock()
			defer mu.Unlock()
			for addr, count := range counts {
				all[addr] += count
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

// askRepeatedly sends n questions over one UDP socket, each after the answer
// to the one before, and hands the first address of each answer to got.
func askRepeatedly(ctx context.Context, server, name string, n int, got func(string)) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", server)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := &dns.Conn{Conn: conn}
	question := new(dns.Msg).SetQuestion(name, dns.TypeA)
	for i := range n {
		question.Id = uint16(i)
		reply, err := askOnce(c, question)
		if err != nil {
			return err
		}
		all := addressesIn(reply)
		if len(all) != len(weighted) {
			return fmt.Errorf("answer %v, want %d addresses", reply, len(weighted))
		}
		got(all[0])
	}
	return nil
}

// askOnce asks again when a datagram is lost, as a busy machine may lose it.
func askOnce(c *dns.Conn, question *dns.Msg) (reply *dns.Msg, err error) {
	for range 3 {
		if err = c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return nil, err
		}
		if err = c.WriteMsg(question); err != nil {
			return nil, err
		}
		for {
			if reply, err = c.ReadMsg(); err != nil {
				break
			}
			if reply.Id == question.Id {
				return reply, nil
			}
		}
	}
	return nil, err
}
