package subscribers_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// reader follows by an event stream.
type reader struct {
	name string

	mu    sync.Mutex
	told  map[string]map[string]api.Instance // by service, then endpoint
	fresh map[string]bool                    // services that were told of since a reset
}

// follow starts a reader. Every other one begins with everything, the others with a
// revision at which there was no instance yet.
func follow(t *testing.T, w *world, n int) *reader {
	t.Helper()
	c, err := client.New([]string{w.HTTP}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{name: fmt.Sprintf("reader %d", n), told: make(map[string]map[string]api.Instance)}
	since := client.WatchAll
	if n%2 == 1 {
		list, err := c.Instances(t.Context(), nameOf(w.names[0]), client.InstanceQuery{})
		if err != nil {
			t.Fatal(err)
		}
		since = strconv.FormatInt(list.Revision, 10)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Watch(ctx, since, client.WatchFilter{}, r.take); ctx.Err() == nil {
			t.Errorf("%v ended: %v", r, err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait(); c.Close() })
	return r
}

func (r *reader) String() string { return r.name }

func (r *reader) knows(service string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []api.Instance
	for _, i := range r.told[service] {
		all = append(all, i)
	}
	return textOf(all)
}

func (r *reader) take(e client.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case api.EventReset:
		r.fresh = make(map[string]bool)
	case api.EventService:
		r.service(e.Service)
	case api.EventRemoved:
		delete(r.told, e.Removed.Name)
	case api.EventSynced:
		if r.fresh == nil {
			break
		}
		for name := range r.told {
			if !r.fresh[name] {
				delete(r.told, name)
			}
		}
		r.fresh = nil
	}
	return nil
}

func (r *reader) service(e *api.ServiceEvent) {
	name := e.Service.Name
	if e.Whole || r.told[name] == nil {
		r.told[name] = make(map[string]api.Instance)
	}
	for _, endpoint := range e.Gone {
		delete(r.told[name], endpoint)
	}
	for _, i := range e.Instances {
		r.told[name][net.JoinHostPort(i.Address, strconv.Itoa(int(i.Port)))] = i
	}
	if r.fresh != nil {
		r.fresh[name] = true
	}
}
