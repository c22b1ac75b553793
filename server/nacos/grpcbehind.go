package nacos

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// behind are the pushes that came to nothing and are to be made again, or were given up:
// whose they are, and since when. They are few, whatever there is else, so that one look
// at all is cheap. The zero behind has none; it is safe for concurrent use.
type behind struct {
	mu    sync.Mutex
	pends map[any]pending // by what is told; guarded by mu
}

// pending is one of them.
type pending struct {
	conn  pushed
	since time.Time
}

// add notes that a push came to nothing, of what a client is to know since then.
func (b *behind) add(what any, conn pushed, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.pends[what]; known {
		return
	}
	if b.pends == nil {
		b.pends = map[any]pending{}
	}
	b.pends[what] = pending{conn, since}
}

// remove notes that a client knows it, or is not told of it any more.
func (b *behind) remove(what any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pends, what)
}

// worst returns how many clients are behind, and since when the one that has been for
// longest; zero: none is.
func (b *behind) worst() (clients int, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := map[pushed]struct{}{}
	for _, p := range b.pends {
		of[p.conn] = struct{}{}
		if since.IsZero() || p.since.Before(since) {
			since = p.since
		}
	}
	return len(of), since
}

// metrics returns what tells an operator that clients are behind; which they are shows
// GET /v1/clients.
func (b *behind) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "muster_grpc_clients_behind",
			Help: "Clients over gRPC that have not acknowledged a push in time, or refused it, and none of the same since.",
		}, func() float64 { clients, _ := b.worst(); return float64(clients) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "muster_grpc_lag_seconds",
			Help: "For how long the client over gRPC that is behind for longest does not know what it is to know, 0: none is, in seconds.",
		}, func() float64 {
			clients, since := b.worst()
			if clients == 0 {
				return 0
			}
			return time.Since(since).Seconds()
		}),
	}
}
