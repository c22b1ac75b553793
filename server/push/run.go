package push

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/registry"
)

// Conn is the socket that pushes leave from and acknowledgements come to;
// *net.UDPConn is one. It has to be one and the same, as clients answer to where
// a push came from, and a NAT between lets nothing else in.
type Conn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	Close() error
}

// Run tells subscribers of the changes that view shows until ctx ends, which is
// no error. It closes conn.
func (p *Pusher) Run(ctx context.Context, conn Conn, view *registry.View) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.hear(ctx, conn) })
	g.Go(func() error {
		defer conn.Close() // which ends the reading
		p.follow(ctx, conn, view)
		return nil
	})
	return g.Wait()
}

// follow tells of changes until ctx ends. One that comes wakes it at once, and
// then has it wait a little, as others often come with it.
func (p *Pusher) follow(ctx context.Context, conn Conn, view *registry.View) {
	if !view.Wait(ctx, 0) {
		return
	}
	t := p.newTeller(conn, view)
	little := p.config.Merge / 8
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := view.Changed()
		t.step(ctx)
		timer.Reset(max(p.idle(), little))
		select {
		case <-timer.C:
			continue
		case <-changed:
		case <-p.kick:
		case <-ctx.Done():
		}
		if !pause(ctx, little) {
			return
		}
	}
}

// pause waits for d, and reports whether ctx is still on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// sweepEvery is how often rows that lapse are looked for, at the most.
const sweepEvery = time.Second

// idle returns how long nothing is to be done unless something changes.
func (p *Pusher) idle() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := time.Hour
	if at, ok := p.lapses.next(); ok {
		wait = max(time.Until(at), sweepEvery)
	}
	for _, o := range []*order{&p.rests, &p.mutes, &p.overdue} {
		if at, ok := o.next(); ok {
			wait = min(wait, time.Until(at))
		}
	}
	return wait
}

// teller is what a Run keeps for itself.
type teller struct {
	*Pusher

	conn    Conn
	view    *registry.View
	snap    *registry.Snapshot // what was compared last
	packets *packets
}

func (p *Pusher) newTeller(conn Conn, view *registry.View) *teller {
	return &teller{p, conn, view, view.Snapshot(), newPackets()}
}

// step does all that is due now.
func (t *teller) step(ctx context.Context) {
	for _, m := range t.gather(t.changes()) {
		for part := range t.parts(m) {
			if ctx.Err() != nil {
				return
			}
			t.tell(part)
		}
	}
}

// changes returns the services that changed since it was called last.
func (t *teller) changes() (changed []registry.ServiceKey) {
	snap := t.view.Snapshot()
	if snap == t.snap {
		return nil
	}
	for was, is := range registry.Diff(t.snap, snap) {
		if is == nil {
			is = was
		}
		changed = append(changed, is.Key)
	}
	t.snap = snap
	return changed
}
