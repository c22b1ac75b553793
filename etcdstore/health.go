package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/registry"
)

// health is whether etcd answers, so that nobody waits for one that does not.
type health struct {
	log *slog.Logger
	ask chan struct{} // asks for a probe at once

	mu       sync.Mutex    // guards what follows
	answered time.Duration // begin of the last question that etcd answered, since the store's start
	cause    error         // why it is taken to be away, nil: it is not
	away     chan struct{} // closed while it is
	back     chan struct{} // closed while it is not
}

func newHealth(log *slog.Logger) *health {
	h := &health{log: log, ask: make(chan struct{}, 1), away: make(chan struct{}), back: make(chan struct{})}
	close(h.back)
	return h
}

// answer takes in that etcd answered what it was asked at began.
func (h *health) answer(began time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answered = max(h.answered, began)
	if h.cause != nil {
		h.cause, h.away = nil, make(chan struct{})
		close(h.back)
		h.log.Info("etcd answers again")
	}
}

// fail takes in that etcd did not answer what it was asked at began, unless it
// answered a later question.
func (h *health) fail(began time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answered > began {
		return
	}
	if h.cause == nil {
		close(h.away)
		h.back = make(chan struct{})
	}
	if h.cause == nil || forbidden(err) && !forbidden(h.cause) {
		h.report(err)
	}
	if h.cause == nil || !errors.Is(err, context.DeadlineExceeded) { // the time that ran out says the least
		h.cause = err
	}
}

func (h *health) report(err error) {
	if forbidden(err) {
		h.log.Error("etcd refuses this server: check its user, password and permissions below "+prefix, "err", err)
		return
	}
	h.log.Warn("etcd is away: answers go on from the snapshot, nothing is written", "err", err)
}

// gone returns a channel that is closed while etcd is away.
func (h *health) gone() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.away
}

// await waits until etcd answers; it reports whether it had to.
func (h *health) await(ctx context.Context) bool {
	h.mu.Lock()
	back := h.back
	h.mu.Unlock()
	select {
	case <-back:
		return false
	default:
	}
	select {
	case <-back:
	case <-ctx.Done():
	}
	return true
}

// err returns nil while etcd answers, else registry.ErrUnavailable with what an
// operator wants to know. now is the time since the store's start.
func (h *health) err(now time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.cause == nil:
		return nil
	case forbidden(h.cause):
		return fmt.Errorf("%w: etcd refuses this server (%w): nothing is written until it is let in", registry.ErrUnavailable, h.cause)
	case errors.Is(h.cause, context.DeadlineExceeded):
		return fmt.Errorf("%w: etcd has not answered for %s: nothing is written until it does",
			registry.ErrUnavailable, (now - h.answered).Round(time.Second))
	}
	return fmt.Errorf("%w: etcd has not answered for %s: nothing is written until it does (%w)",
		registry.ErrUnavailable, (now - h.answered).Round(time.Second), h.cause)
}

// suspect asks for a probe without waiting for the next second.
func (h *health) suspect() {
	select {
	case h.ask <- struct{}{}:
	default:
	}
}

// forbidden reports whether etcd answered, and let nobody in.
func forbidden(err error) bool {
	for _, refusal := range []error{rpctypes.ErrAuthFailed, rpctypes.ErrPermissionDenied, rpctypes.ErrInvalidAuthToken,
		rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound, rpctypes.ErrAuthNotEnabled} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	code := status.Code(err)
	return code == codes.Unauthenticated || code == codes.PermissionDenied
}

// followLink notices at once when there is no connection to any endpoint, and
// when there is one again: calls to an etcd that refuses connections would wait
// for their whole time. A client that calls etcd in this process has none.
func (s *Store) followLink(ctx context.Context) error {
	conn := s.client.ActiveConnection()
	if conn == nil {
		return nil
	}
	for state := conn.GetState(); ; state = conn.GetState() {
		switch state {
		case connectivity.TransientFailure:
			s.health.fail(s.now(), s.noConnection(ctx))
		case connectivity.Ready:
			s.health.suspect()
		}
		if !conn.WaitForStateChange(ctx, state) {
			return nil
		}
	}
}

// noConnection says why there is none, as far as that can be found out.
func (s *Store) noConnection(ctx context.Context) error {
	if s.cfg.Refusal == nil {
		return errNoConnection
	}
	ctx, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	if why := s.cfg.Refusal(ctx); why != nil {
		return fmt.Errorf("%w: %w", errNoConnection, why)
	}
	return errNoConnection
}

var errNoConnection = errors.New("no connection to any endpoint")
