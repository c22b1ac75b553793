package dnsd

import (
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/coredns/coredns/plugin/metrics/vars"
)

// panics are those that CoreDNS does not recover from: of what this package does with a
// message, of gates, and of plugins where the plugin debug is in use. The query they
// befall is lost, and the server goes on. They are counted where CoreDNS counts its own,
// and the operator is told, once a minute at most.
type panics struct {
	log *slog.Logger

	mu    sync.Mutex
	told  time.Time
	since int // told
}

// count takes what a recover in the same goroutine has returned.
func (p *panics) count(addr string, value any) {
	vars.Panic.Inc()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since++
	if time.Since(p.told) < time.Minute {
		return
	}
	p.log.Error("dns panic", "address", addr, "panic", value, "times", p.since, "stack", string(debug.Stack()))
	p.told, p.since = time.Now(), 0
}

// guardedGates asks gates. A packet at which one panics gets no answer.
type guardedGates struct {
	gates
	panics *panics
	addr   string
}

// guard returns gates that may panic in place of those of addr.
func (p *panics) guard(g gates, addr string) gates {
	if len(g) == 0 {
		return nil
	}
	return gates{&guardedGates{g, p, addr}}
}

// Admit implements [Gate].
func (g *guardedGates) Admit(query []byte, from netip.AddrPort) (answer, truncated bool) {
	defer func() {
		if v := recover(); v != nil {
			answer, truncated = false, false
			g.panics.count(g.addr, v)
		}
	}()
	return g.gates.Admit(query, from)
}
