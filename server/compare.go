package server

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/etcdstore"
)

// compareEvery is how often servers compare what they show.
const compareEvery = 30 * time.Second

type recentAnswer struct{ Body api.Recent }

func (f *face) recent(context.Context, *struct{}) (*recentAnswer, error) {
	return &recentAnswer{f.server.recent()}, nil
}

func (s *Server) recent() api.Recent {
	return api.Recent{Shown: shownOf(s.store.Recent()), Configs: shownOf(s.store.Configs().Recent())}
}

func shownOf(recent []etcdstore.Shown) []api.Shown {
	out := make([]api.Shown, len(recent))
	for i, shown := range recent {
		out[i] = api.Shown{Revision: shown.Revision, Digest: hex(shown.Digests.Sum())}
	}
	return out
}

// compare asks the other servers now and then whether they show the same at the
// same revision, until ctx ends. One of two that differ is wrong: each compares
// itself with etcd then, and lists anew if it was this one.
func (s *Server) compare(ctx context.Context) error {
	differences := prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_server_divergence_total",
		Help: "Times that this server and another one showed different things at one revision."})
	if err := s.metrics.Register(differences); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(compareEvery/2 + rand.N(compareEvery)):
		}
		s.warnOfTwins()
		for _, other := range s.store.Servers().Live {
			if other.ID == s.id || !s.differs(ctx, other.HTTP) {
				continue
			}
			differences.Inc()
			s.log.Error("another server shows something else at the same revision", "server", other.HTTP)
			if _, err := s.store.Reconcile(ctx); err != nil {
				s.log.Warn("not compared with etcd", "err", err)
			}
		}
	}
}

// warnOfTwins says, once, that another server is advertised at this one's address:
// neither can be reached by the others then.
func (s *Server) warnOfTwins() {
	for _, other := range s.store.Servers().Live {
		if other.ID != s.id && other.HTTP == s.advertisedHTTP() && !s.twins {
			s.twins = true
			s.log.Error("another server is advertised at the same URL: set advertise_http", "url", other.HTTP, "server", other.ID)
		}
	}
}

// differs reports whether another server showed something else at the newest
// revision that both have shown. One that does not answer is no difference.
func (s *Server) differs(ctx context.Context, target string) bool {
	ctx, cancel := context.WithTimeout(ctx, askPeer)
	defer cancel()
	var theirs api.Recent
	if s.ask(ctx, http.MethodGet, target+api.PathRecent, nil, &theirs) != nil {
		return false
	}
	ours := s.recent()
	return differ(ours.Shown, theirs.Shown) || differ(ours.Configs, theirs.Configs)
}

// differ reports whether two servers showed something else at the newest revision
// that both have shown.
func differ(ours, theirs []api.Shown) bool {
	for _, their := range theirs { // the newest first
		if i := slices.IndexFunc(ours, func(our api.Shown) bool { return our.Revision == their.Revision }); i >= 0 {
			return ours[i].Digest != their.Digest
		}
	}
	return false
}
