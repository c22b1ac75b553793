package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// ack is what a push is acknowledged by.
type ack struct {
	from  netip.AddrPort
	stamp int64
}

const (
	maxAck     = 1024        // bytes of a datagram that is looked at
	afterError = time.Second // until the socket is read again
)

// hear takes acknowledgements until ctx ends.
func (p *Pusher) hear(ctx context.Context, conn Conn) error {
	buf := make([]byte, maxAck+1)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("push: read acknowledgements: %w", err)
		case err != nil:
			p.config.Logger.Warn("acknowledgements of pushes cannot be read", "err", err)
			pause(ctx, afterError)
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
		if n > maxAck || !p.take(buf[:n], from) {
			p.metrics.strays.Inc()
		}
	}
}

// take takes one datagram, and reports whether it acknowledges a push that waits
// for that. Who has no subscriber at its address is not even read.
func (p *Pusher) take(datagram []byte, from netip.AddrPort) bool {
	if !p.knows(from.Addr()) {
		return false
	}
	stamp, ok := parseAck(datagram)
	if !ok {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.whose(from, stamp)
	if r == nil {
		return false
	}
	p.settle(r)
	r.host.unanswered = 0
	p.tally.ack(time.Since(r.sent))
	p.metrics.cost.Observe(time.Since(r.sent).Seconds())
	return true
}

// whose returns the row that is waiting for an acknowledgement; p.mu is held. A
// client on this host that names another address of it answers to loopback, where
// the push came from, and so from there.
func (p *Pusher) whose(from netip.AddrPort, stamp int64) *row {
	if r := p.awaited[ack{from, stamp}]; r != nil || !from.Addr().IsLoopback() {
		return r
	}
	for _, ip := range p.ours {
		if r := p.awaited[ack{netip.AddrPortFrom(ip, from.Port()), stamp}]; r != nil {
			return r
		}
	}
	return nil
}

func (p *Pusher) knows(ip netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hosts[ip] != nil || ip.IsLoopback() && len(p.ours) > 0
}

// parseAck returns the stamp that a datagram acknowledges. It is a string, or a
// number that may have gone through a double: then its digits beyond what a double
// holds are not those that were sent, but it still is the same double.
func parseAck(datagram []byte) (stamp int64, ok bool) {
	var packet struct {
		Type        string          `json:"type"`
		LastRefTime json.RawMessage `json:"lastRefTime"`
	}
	if json.Unmarshal(datagram, &packet) != nil || packet.Type != "push-ack" {
		return 0, false
	}
	if text, found := bytes.CutPrefix(packet.LastRefTime, []byte(`"`)); found {
		stamp, err := strconv.ParseInt(string(bytes.TrimSuffix(text, []byte(`"`))), 10, 64)
		if err != nil || stamp <= 0 {
			return 0, false
		}
		return stamp, true
	}
	double, err := strconv.ParseFloat(string(packet.LastRefTime), 64)
	if err != nil || double < 1 || double >= 1<<63 {
		return 0, false
	}
	return int64(double), true
}
