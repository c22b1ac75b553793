package server

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// pulseEvery is how often the server calls itself.
	pulseEvery = 500 * time.Millisecond
	// pulseLate is how long such a call may take before beats count as unread.
	pulseLate = time.Second
	// pulseMost is for how long they do at the most: a server that cannot be reached at
	// all must not keep the dead for ever.
	pulseMost = time.Minute
)

// pulse measures how long calls wait before they are read, as beats do: by calls over
// the network to this very server. A process that is short of processors may scan its
// deadlines in time and yet have beats that lie unread.
type pulse struct {
	began time.Time
	asked atomic.Int64 // since began, when the call under way was made; 0: none is
}

// behind reports whether beats that have arrived may be unread for long.
func (p *pulse) behind() bool {
	asked := p.asked.Load()
	if asked == 0 {
		return false
	}
	waits := time.Since(p.began) - time.Duration(asked)
	return waits > pulseLate && waits < pulseMost
}

// run calls the server at address until ctx ends.
func (p *pulse) run(ctx context.Context, address string) error {
	transport := &http.Transport{MaxIdleConns: 1, IdleConnTimeout: idleTimeout}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: pulseMost}
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		p.asked.Store(max(1, int64(time.Since(p.began))))
		p.call(ctx, c, address)
		p.asked.Store(0)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// call makes one call. What comes of it does not matter, only that it is over.
func (p *pulse) call(ctx context.Context, c *http.Client, address string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/livez", nil)
	if err != nil {
		return
	}
	r.Host = "localhost"
	resp, err := c.Do(r)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}
