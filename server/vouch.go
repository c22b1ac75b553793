package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/internal/sdnotify"
)

const (
	// lookPeriod is how often the server looks whether its parts answer.
	lookPeriod = 5 * time.Second
	// answerBound is how long they may not before the server counts as stuck.
	answerBound = time.Minute
	// scanBound is that of the judge's scan, which may have to wait for an etcd
	// that hangs as often as it has verdicts to write.
	scanBound = 5 * time.Minute
	// readyPatience is how long a start waits to be ready before the service
	// manager is told that it is over: an etcd elsewhere may come later.
	readyPatience = 30 * time.Second
	// leaveTime bounds a stop: calls under way, the loops, and the embedded etcd.
	leaveTime = drainTimeout + 30*time.Second
)

// vouch tells the service manager when the server is ready, and that it is alive
// while its parts go on, until ctx ends. An etcd that is away stops none of them.
func (s *Server) vouch(ctx context.Context) error {
	n := s.cfg.Notifier
	if !n.Listens() {
		return nil
	}
	answers := n.Pulse("requests", answerBound)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.Run(ctx) })
	g.Go(func() error {
		began, ready, said := time.Now(), false, ""
		return answers.Watch(ctx, lookPeriod, func(ctx context.Context) bool {
			if !ready {
				s.awaitReady(ctx, readyPatience-time.Since(began))
			}
			words := s.inWords()
			switch {
			case !ready:
				n.Ready(words)
			case words != said:
				n.Status(words)
			}
			ready, said = true, words
			return s.answers(ctx)
		})
	})
	return g.Wait()
}

// awaitReady waits until the server should get traffic, for at most patience.
func (s *Server) awaitReady(ctx context.Context, patience time.Duration) {
	over := time.NewTimer(patience)
	defer over.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for s.notReady() != "" {
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			return
		case <-look.C:
		}
	}
}

// inWords says in a line how the server is.
func (s *Server) inWords() string {
	if why := s.notReady(); why != "" {
		return "not ready: " + why
	}
	return fmt.Sprintf("serving HTTP at %s, DNS at %s", s.cfg.HTTP, s.cfg.DNS)
}

// answers reports whether the HTTP face answers. It is asked in this process:
// over the network, clients that take all connections would get the server
// killed.
func (s *Server) answers(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/v1/status", nil)
	if err != nil {
		return false
	}
	r.RemoteAddr = "127.0.0.1:0"
	w := &statusWriter{header: http.Header{}}
	s.http.Handler.ServeHTTP(w, r)
	return w.status != 0
}

// statusWriter keeps the status of an answer.
type statusWriter struct {
	header http.Header
	status int
}

func (w *statusWriter) Header() http.Header { return w.header }

func (w *statusWriter) WriteHeader(status int) { w.status = status }

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return len(b), nil
}

// scans is the pulse of the judge's scan, while this server judges: before the
// first one it may wait for etcd as long as that takes.
type scans struct {
	mu    sync.Mutex
	pulse *sdnotify.Pulse // nil while nobody scans; under mu
}

func (s *scans) beat(n *sdnotify.Notifier) {
	if !n.Listens() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pulse == nil {
		s.pulse = n.Pulse("judge", scanBound)
	}
	s.pulse.Beat()
}

func (s *scans) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulse.End()
	s.pulse = nil
}
