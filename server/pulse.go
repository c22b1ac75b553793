package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
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
	most  time.Duration // for how long beats count as unread
	began time.Time
	asked atomic.Int64 // since began, when the first call was made that is not answered; 0: all are
}

func newPulse(most time.Duration) *pulse { return &pulse{most: most, began: time.Now()} }

// behind reports whether beats that have arrived may be unread for long.
func (p *pulse) behind() bool {
	asked := p.asked.Load()
	if asked == 0 {
		return false
	}
	waits := time.Since(p.began) - time.Duration(asked)
	return waits > pulseLate && waits < p.most
}

// run calls the server at address until ctx ends, over TLS unless that is nil.
func (p *pulse) run(ctx context.Context, address string, over *tls.Config) error {
	transport := &http.Transport{MaxIdleConns: 1, IdleConnTimeout: idleTimeout, TLSClientConfig: over}
	address = "http://" + address
	if over != nil {
		address = "https" + strings.TrimPrefix(address, "http")
	}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: p.most}
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		p.asked.CompareAndSwap(0, max(1, int64(time.Since(p.began))))
		if p.call(ctx, c, address) {
			p.asked.Store(0)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// call makes one call and reports whether it was over in time. What came of it does not
// matter: who cannot call at all finds out nothing.
func (p *pulse) call(ctx context.Context, c *http.Client, address string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/livez", nil)
	if err != nil {
		return true
	}
	r.Host = "localhost"
	resp, err := c.Do(r)
	if late, ok := errors.AsType[*url.Error](err); ok {
		return !late.Timeout()
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return true
}
