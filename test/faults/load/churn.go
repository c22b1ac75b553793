package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/test/faults/history"
)

// churn registers and deregisters persistent instances, each of which has one
// writer. An instance whose fate is unknown is left alone from then on: any
// later word of it would be as unknown.
type churn struct {
	cfg   Config
	ended atomic.Bool
	busy  atomic.Int64
}

// mostLeft is how many instances one client leaves registered.
const mostLeft = 20

func newChurn(cfg Config) *churn { return &churn{cfg: cfg} }

// end ends all writing, and returns when none is under way.
func (c *churn) end() {
	c.ended.Store(true)
	for c.busy.Load() > 0 {
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *churn) run(ctx context.Context, number int) {
	random := c.cfg.random(partChurn, number)
	// A connection for each call: whether anything was sent is known only of a
	// new one.
	client := newHTTP(c.cfg.CallTimeout)
	client.Transport.(*http.Transport).DisableKeepAlives = true
	left := 0
	for n := 0; ctx.Err() == nil && !c.ended.Load(); n++ {
		k := history.Key{Service: fmt.Sprint("churn-", number), Endpoint: fmt.Sprintf("10.3.%d.%d:%d", number, n%250+1, 10000+n/250)}
		present, home := false, random.IntN(len(c.cfg.Servers))
		for step := 0; ctx.Err() == nil; step++ {
			if !present && step > 0 && random.IntN(2) == 0 || present && left < mostLeft && random.IntN(4) == 0 {
				break
			}
			at := home
			if !present || random.IntN(3) == 0 {
				at = random.IntN(len(c.cfg.Servers))
			}
			ok, result := c.write(ctx, client, k, !present, at)
			rest(ctx, c.pause(random))
			if !ok || result == history.Unknown {
				break
			}
			if result == history.Done {
				present, home = !present, at
			}
		}
		if present {
			left++
		}
	}
}

func (c *churn) pause(random *rand.Rand) time.Duration {
	return c.cfg.ChurnPause/2 + time.Duration(random.Int64N(int64(c.cfg.ChurnPause)))
}

// write makes one write at one server and records it. It reports false when
// there is to be no more writing.
func (c *churn) write(ctx context.Context, client *http.Client, k history.Key, present bool, at int) (ok bool, result history.Outcome) {
	c.busy.Add(1)
	defer c.busy.Add(-1)
	if c.ended.Load() {
		return false, ""
	}
	t := c.cfg.Servers[at]
	w := history.Write{Key: k, Server: t.Name, Present: present}
	w.Begin = c.cfg.Recorder.Now()
	method, body := http.MethodDelete, any(nil)
	if present {
		method, body = http.MethodPut, map[string]any{}
	}
	r, err := call(context.WithoutCancel(ctx), client, method, t.URL+path(api.PathInstance, k), nil, body)
	w.Outcome, w.Retryable, w.Detail = outcome(r, err)
	if w.Outcome == history.Done {
		w.Revision, w.Lagging = r.revision(), r.header.Get(api.HeaderLagging) == "true"
	}
	if !present && r.status == http.StatusNotFound {
		w.Retryable = true // this server does not show it yet
	}
	c.cfg.Recorder.Write(w)
	return true, w.Outcome
}
