package push

import (
	"context"

	"github.com/musterhq/muster/registry"
)

// ParseAck reads a datagram of a client.
var ParseAck = parseAck

// Kept returns how much is kept of subscribers.
func (p *Pusher) Kept() (kept struct{ Rows, Services, Hosts, Awaited int }) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept.Rows, kept.Services, kept.Hosts, kept.Awaited = p.count, len(p.audiences), len(p.hosts), len(p.awaited)
	return kept
}

// Step returns what one round of a Run does, for as long as no Run does it.
func (p *Pusher) Step(conn Conn, view *registry.View) func() {
	t := p.newTeller(conn, view)
	return func() { t.step(context.Background()) }
}

// Versions returns from which version on each client is told.
func (p *Pusher) Versions() map[string]string {
	out := map[string]string{}
	for client, v := range *p.least.Load() {
		out[client] = v.String()
	}
	return out
}
