// Package subscribers_test has many clients follow what changes on a real server, and
// demands that each knows the end of it.
package subscribers_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m, "../..")) }

const (
	subscribers = 10 // of each kind
	services    = 20
	changes     = 1000
	writers     = 4
	patience    = time.Minute // over an enrolment, and a pause before one goes on
)

// subscriber follows all services.
type subscriber interface {
	fmt.Stringer
	// knows returns the instances of a service, as far as this subscriber was told:
	// what line makes of each, ordered.
	knows(service string) string
}

func line(address string, port uint16, cluster string, weight float64, healthy bool, metadata map[string]string) string {
	return fmt.Sprintf("%s:%d %s %g %t %v", address, port, cluster, weight, healthy, metadata)
}

// text is how subscribers tell what a service has.
func text(lines []string) string { return strings.Join(slices.Sorted(slices.Values(lines)), "\n") }

func nameOf(service string) client.Name {
	return client.Name{Namespace: "public", Group: "DEFAULT_GROUP", Name: service}
}

// world is a server, and one who may write.
type world struct {
	*binary.Server
	*client.Client

	names []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := binary.StartServer(t, binary.Muster(), "--dns", "127.0.0.1:0", "--min-free", "0")
	c, err := client.New([]string{s.HTTP}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &world{Server: s, Client: c}
	persistent := false // nobody beats here
	for i := range services {
		w.names = append(w.names, fmt.Sprintf("service-%d", i))
		if _, err := c.PutService(t.Context(), nameOf(w.names[i]), api.ServiceSpec{Ephemeral: &persistent}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// lists returns what the server lists of a service: all that are enabled.
func (w *world) lists(ctx context.Context, service string) (string, error) {
	list, err := w.Instances(ctx, nameOf(service), client.InstanceQuery{})
	if err != nil {
		return "", err
	}
	return textOf(list.Instances), nil
}

func textOf(all []api.Instance) string {
	var lines []string
	for _, i := range all {
		if *i.Enabled {
			lines = append(lines, line(i.Address, i.Port, i.Cluster, *i.Weight, *i.Healthy, i.Metadata))
		}
	}
	return text(lines)
}

// change makes one change that is drawn: a new instance, or one that is declared
// anew, weighed, disabled or removed. What it says differs each time, so that most
// calls change something.
func (w *world) change(ctx context.Context, draw *rand.Rand, serial int64) error {
	service := nameOf(w.names[draw.IntN(len(w.names))])
	address := fmt.Sprintf("192.0.2.%d", 1+draw.IntN(8))
	endpoint := net.JoinHostPort(address, "80")
	weight, enabled := float64(1+draw.IntN(100)), draw.IntN(4) > 0
	var err error
	switch draw.IntN(4) {
	case 0:
		err = w.Deregister(ctx, service, endpoint)
	case 1:
		_, err = w.UpdateInstance(ctx, service, endpoint, client.InstancePatch{Weight: &weight, Enabled: &enabled})
	default:
		_, err = w.Register(ctx, service, api.Instance{Address: address, Port: 80, Weight: &weight,
			Metadata: map[string]string{"serial": fmt.Sprint(serial)}})
	}
	if errors.Is(err, client.ErrNotFound) {
		return nil // one that is not there
	}
	return err
}

// write makes so many changes, several at a time, over whatever happens to the
// server meanwhile.
func (w *world) write(t *testing.T, n int64, done *atomic.Int64) {
	t.Helper()
	var taken atomic.Int64
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			draw := rand.New(rand.NewPCG(1, uint64(i)))
			for serial := taken.Add(1); serial <= n; serial = taken.Add(1) {
				var err error
				if !binary.Poll(time.Minute, func() bool { err = w.change(t.Context(), draw, serial); return err == nil }, t.Context().Done()) {
					t.Errorf("change %d: %v", serial, err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
}

// await waits until all subscribers know of every service what the server lists.
func (w *world) await(t *testing.T, all []subscriber) {
	t.Helper()
	began := time.Now()
	for _, service := range w.names {
		want, err := w.lists(t.Context(), service)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if !binary.Poll(patience-time.Since(began), func() bool { return s.knows(service) == want }, nil) {
				t.Errorf("%v knows of %s\n%s\nthe server lists\n%s", s, service, s.knows(service), want)
			}
		}
	}
	t.Logf("all %d subscribers know all of it %v after the last change", len(all), time.Since(began).Round(time.Millisecond))
}

func TestSubscribersKnowTheEndOfAllChanges(t *testing.T) {
	w := newWorld(t)
	var all []subscriber
	for i := range subscribers {
		all = append(all, follow(t, w, i))
		all = append(all, enrol(t, w, i))
	}
	w.await(t, all)

	var done atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() { w.write(t, changes, &done) })
	w.AwaitFor(time.Minute, "half of the changes", func() bool { return done.Load() >= changes/2 })
	w.Kill()
	w.RestartServer()
	wg.Wait()
	w.await(t, all)
}
