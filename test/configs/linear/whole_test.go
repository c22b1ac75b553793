package linear_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
)

const (
	members = 6 // documents that are changed together
	writers = 3
)

// sets are documents that are always changed together, and those who do it.
type sets struct {
	*world

	acknowledged atomic.Int64 // revision of the newest set that was answered
	answered     atomic.Int64
	looks        atomic.Int64
}

// Several documents are published or removed at one revision, or none of them: a list
// never shows some of a set, whenever the server is killed, and never an older set than
// one that was answered.
func TestEditsOfSeveralAreWholeOverRestarts(t *testing.T) {
	s := &sets{world: newWorld(t, newTransport())}
	for range rounds() / 5 {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for i, c := range s.clients {
			if i < writers {
				running.Go(func() { s.write(ctx, c) })
			} else {
				running.Go(func() { s.watch(ctx, c) })
			}
		}
		rest(ctx, 150*time.Millisecond+time.Duration(rand.Int64N(int64(150*time.Millisecond))))
		s.Kill()
		s.RestartServer()
		rest(ctx, 50*time.Millisecond)
		stop()
		running.Wait()
	}
	s.look(t.Context(), s.clients[0])
	t.Logf("%d sets were answered, %d lists looked at", s.answered.Load(), s.looks.Load())
	if s.answered.Load() == 0 || s.looks.Load() == 0 {
		t.Error("nothing was seen")
	}
}

// write publishes or removes all documents of the set, again and again.
func (s *sets) write(ctx context.Context, c *client) {
	for ctx.Err() == nil {
		c.calls++
		var set api.ConfigSet
		gone := c.calls%8 == 0
		for i := range members {
			e := api.ConfigEdit{Group: "whole", DataID: fmt.Sprint(i), Delete: gone}
			if !gone {
				e.Content = fmt.Sprintf("%d.%d", c.number, c.calls)
			}
			set.Edits = append(set.Edits, e)
		}
		var answer api.ConfigSetAnswer
		if !s.exchange(ctx, c, http.MethodPost, api.PathConfigSet, set, &answer) {
			c.awaitReady(ctx)
			continue
		}
		s.answered.Add(1)
		for was := s.acknowledged.Load(); was < answer.Revision && !s.acknowledged.CompareAndSwap(was, answer.Revision); {
			was = s.acknowledged.Load()
		}
	}
}

// watch looks at lists, again and again.
func (s *sets) watch(ctx context.Context, c *client) {
	for ctx.Err() == nil && !s.t.Failed() {
		if !s.look(ctx, c) {
			c.awaitReady(ctx)
		}
	}
}

// look looks at one list.
func (s *sets) look(ctx context.Context, c *client) (answered bool) {
	atLeast := s.acknowledged.Load()
	var list api.ConfigList
	if !s.exchange(ctx, c, http.MethodGet, api.PathConfigs+"?group=whole", nil, &list) {
		return false
	}
	s.looks.Add(1)
	if list.Revision < atLeast {
		s.t.Errorf("a list at revision %d, and %d was answered before", list.Revision, atLeast)
	}
	if len(list.Configs) != 0 && len(list.Configs) != members {
		s.t.Errorf("at revision %d there are %d documents of %d", list.Revision, len(list.Configs), members)
	}
	for _, d := range list.Configs {
		if first := list.Configs[0]; d.MD5 != first.MD5 || d.Revision != first.Revision {
			s.t.Errorf("at revision %d document %s has MD5 %s of revision %d, and %s has %s of %d",
				list.Revision, d.DataID, d.MD5, d.Revision, first.DataID, first.MD5, first.Revision)
		}
	}
	return true
}

// exchange makes one call and reports whether it was answered. An answer that is
// neither good nor 503 fails the test.
func (s *sets) exchange(ctx context.Context, c *client, method, path string, body, answer any) bool {
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Error(err)
		return false
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), method, c.url+path, bytes.NewReader(b))
	if err != nil {
		s.t.Error(err)
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && resp.Header.Get(api.HeaderLagging) != "true" {
		return json.NewDecoder(resp.Body).Decode(answer) == nil
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		s.t.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return false
}
