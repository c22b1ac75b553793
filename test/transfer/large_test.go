package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// content is a set of records of which the members are not kept.
type content struct {
	serial  uint32
	records int
	sum     uint64
}

var seed = maphash.MakeSeed()

// take adds records, or takes them away.
func (c *content) take(rr dns.RR, add bool) {
	hash := maphash.String(seed, rr.String())
	if add {
		c.records, c.sum = c.records+1, c.sum+hash
	} else {
		c.records, c.sum = c.records-1, c.sum-hash
	}
}

// whole takes a zone.
func whole(t *testing.T, server, zone string) (c content) {
	t.Helper()
	err := transfer(server, zone, asking{}, func(part []dns.RR) {
		for _, rr := range part {
			if soa, ok := rr.(*dns.SOA); ok {
				if c.serial != 0 && c.serial != soa.Serial {
					t.Errorf("a transfer of %s begins with serial %d and ends with %d", zone, c.serial, soa.Serial)
				}
				c.serial = soa.Serial
				continue
			}
			c.take(rr, true)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// follow brings c to what a server has now by what changed since; false: it sent
// the whole zone.
func (c *content) follow(t *testing.T, server, zone string) bool {
	t.Helper()
	var n, soas int
	var serial uint32
	incremental := true
	err := transfer(server, zone, asking{serial: c.serial}, func(part []dns.RR) {
		for _, rr := range part {
			soa, ok := rr.(*dns.SOA)
			if n++; n == 2 {
				incremental = ok
			}
			if ok {
				soas++
				serial = soa.Serial
			} else if incremental {
				c.take(rr, soas == 3)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	c.serial = serial
	return incremental
}

// crowded is how many services the large zone has.
func crowded() int {
	if os.Getenv("MUSTER_LONG") != "" {
		return 100_000
	}
	return 5_000
}

// A large zone is sent from one state while the roll changes, without being built
// in memory: what changed since then leads from it exactly to what there is later.
func TestLargeZoneWhileItChanges(t *testing.T) {
	port := freePort(t)
	m := startMuster(t, fmt.Sprintf("%s:%d {\nbind 127.0.0.1\nerrors\ntransfer {\nto *\n}\nmuster\n}\n", zones[0], port), port)
	whole(t, m.dns, zones[0]) // the state of a start leads nowhere
	began := time.Now()
	at := func(i int) api.Instance {
		return api.Instance{Address: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), Port: 80, Metadata: map[string]string{"version": "v1"}}
	}
	inParallel(t, 32, crowded(), func(ctx context.Context, i int) error {
		for {
			_, err := m.Register(ctx, named(fmt.Sprint("s", i)), at(i))
			if !errors.Is(err, client.ErrUnavailable) { // a slow disk is another matter
				return err
			}
		}
	})
	t.Logf("%d services are registered in %v", crowded(), time.Since(began).Round(time.Millisecond))

	ctx, cancel := context.WithCancel(t.Context())
	var churning sync.WaitGroup
	var made atomic.Int64
	churning.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := m.Register(t.Context(), named(fmt.Sprint("s", i*7919%crowded())), at(1<<20+i%1000)); err == nil {
				made.Add(1)
			}
		}
	})
	before := m.memory(t, "VmRSS")
	m.forgetPeak(t)
	began, changed := time.Now(), made.Load()
	c := whole(t, m.dns, zones[0])
	took := time.Since(began)
	t.Logf("%d records in %v, %d changes meanwhile; memory %d MB before, %d MB at most", c.records, took.Round(time.Millisecond),
		made.Load()-changed, before>>20, m.memory(t, "VmHWM")>>20)

	began = time.Now()
	if !c.follow(t, m.dns, zones[0]) {
		t.Error("what changed since a transfer comes as the whole zone")
	}
	t.Logf("what changed meanwhile comes in %v", time.Since(began).Round(time.Millisecond))
	cancel()
	churning.Wait()
	want := whole(t, m.dns, zones[0])
	for c.serial != want.serial { // a write that nobody waited for may come late
		if !c.follow(t, m.dns, zones[0]) {
			t.Fatal("what changed since then comes as the whole zone")
		}
		if c.serial != want.serial {
			want = whole(t, m.dns, zones[0])
		}
	}
	if c != want {
		t.Errorf("what was sent leads to %d records at %d with sum %x, want %d at %d with %x", c.records, c.serial, c.sum, want.records, want.serial, want.sum)
	}
}

// inParallel calls f with the numbers below n.
func inParallel(t *testing.T, workers, n int, f func(ctx context.Context, i int) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(t.Context(), i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// memory returns a figure of the process in bytes.
func (m *muster) memory(t *testing.T, name string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), name+":")
	kilobytes, err := strconv.Atoi(strings.Fields(text)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// forgetPeak begins to measure the peak of memory anew.
func (m *muster) forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", m.PID()), []byte("5"), 0o600); err != nil {
		t.Log(err)
	}
}
