package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// A watch goes on over kills of the server: in the end it knows what is there,
// with what came and went while nobody was connected.
func TestWatchSurvivesKills(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	c, err := client.New([]string{s.url()}, client.Config{MaxPause: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	known := &watched{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Watch(ctx, client.WatchAll, client.WatchFilter{}, known.take); !errors.Is(err, context.Canceled) {
			t.Errorf("Watch() = %v, want that it was called off", err)
		}
	})
	defer func() { cancel(); wg.Wait() }()
	want := map[string]bool{}
	for round := range 4 {
		for n := range 20 {
			name := fmt.Sprintf("s-%d-%d", round, n)
			if _, err := c.PutService(t.Context(), client.Name{Name: name}, api.ServiceSpec{}); err != nil {
				t.Fatal(err)
			}
			want[name] = true
		}
		s.kill() // before all of it is told, more often than not
		s.start()
		gone := fmt.Sprintf("s-%d-0", round) // by one that the watch may not be connected to yet
		if err := c.DeleteService(t.Context(), client.Name{Name: gone}); err != nil {
			t.Fatal(err)
		}
		delete(want, gone)
	}
	eventually(t, time.Minute, "the watch knows what is there", func() bool { return known.is(want) })
}

// watched is what a watch knows.
type watched struct {
	mu    sync.Mutex
	names map[string]bool // guarded by mu
}

func (r *watched) take(e client.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case api.EventReset:
		r.names = map[string]bool{}
	case api.EventService:
		r.names[e.Service.Service.Name] = true
	case api.EventRemoved:
		delete(r.names, e.Removed.Name)
	}
	return nil
}

func (r *watched) is(want map[string]bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Equal(want, r.names)
}
