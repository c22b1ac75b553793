package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/server/nacos"
)

// Values of Config.GRPCRebalance.
const (
	rebalanceOn  = "on"
	rebalanceOff = "off"
)

const (
	// lookEvery is how often a server looks whether it has more clients than its share.
	lookEvery = 10 * time.Second
	// settleTime is for how long a server has been up when others send it clients: it has
	// other things to do first.
	settleTime = 30 * time.Second
	// mostRounds bounds for how many looks nobody is moved after clients came back: they
	// know no other server, as behind a proxy.
	mostRounds = 64
)

// rebalance moves clients over gRPC to servers that have fewer, as after a restart, until
// ctx ends, where the settings do not say otherwise. Clients stay where they are for as
// long as their connection lasts: nobody else would ever move them, but operators.
func (s *Server) rebalance(ctx context.Context) error {
	if s.cfg.GRPCRebalance == rebalanceOff {
		<-ctx.Done()
		return nil
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	failed, pause := 0, 0
	before, moved := 0, 0
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
		mine := s.grpc.Len()
		if moved > 0 {
			if mine > before-(moved+1)/2 {
				failed++
				pause = min(1<<failed, mostRounds)
			} else {
				failed = 0
			}
			moved = 0
		}
		if pause > 0 {
			pause--
			continue
		}
		if mine == 0 || s.notReady() != "" || s.away() {
			continue
		}
		others, complete := s.loads(ctx)
		if !complete {
			continue
		}
		counts := make([]int, len(others))
		for i, o := range others {
			counts[i] = o.Clients
		}
		n := surplus(mine, counts)
		if n == 0 {
			continue
		}
		s.log.Info("clients are asked to move to servers that have fewer", "clients", n, "of", mine)
		before, moved = mine, s.move(ctx, n, mine, others)
	}
}

// loads returns how many clients each other server has that serves gRPC, the least first.
// It is not complete while one of them does not answer, or has just come.
func (s *Server) loads(ctx context.Context) (all []nacos.Load, complete bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*askPeer)
	defer cancel()
	complete = true
	for _, v := range s.store.Servers().Live {
		if v.ID == s.id {
			continue
		}
		var status api.Status
		if err := s.ask(ctx, http.MethodGet, v.HTTP+api.PathStatus, nil, &status); err != nil || status.ID != v.ID ||
			!status.Ready || status.Stale || time.Since(v.Started) < settleTime {
			complete = false
			continue
		}
		if status.GRPC != "" {
			all = append(all, nacos.Load{Address: withoutScheme(v.HTTP), Clients: status.Clients})
		}
	}
	slices.SortFunc(all, func(a, b nacos.Load) int { return cmp.Compare(a.Clients, b.Clients) })
	return all, complete
}

// surplus returns how many clients of mine belong elsewhere, when others have so many. A
// server keeps a fifth more than its share, and two: moving costs clients something.
func surplus(mine int, others []int) int {
	total := mine
	for _, n := range others {
		total += n
	}
	share := (total + len(others)) / (len(others) + 1) // rounded up
	if mine <= share+max(2, share/5) {
		return 0
	}
	return mine - share
}

// move asks n clients to move to the servers that have the fewest, one in fifty each
// second until the next look, and returns how many were asked.
func (s *Server) move(ctx context.Context, n, of int, to []nacos.Load) (asked int) {
	const steps = int(lookEvery/time.Second) - 2 // the last ones need time to go
	atOnce := of/50 + 1
	next := time.NewTicker(time.Second)
	defer next.Stop()
	left := min(n, atOnce*steps)
	for c := range s.grpc.Conns() {
		if asked == left {
			return asked
		}
		if c.Stats().Moving {
			continue
		}
		slices.SortFunc(to, func(a, b nacos.Load) int { return cmp.Compare(a.Clients, b.Clients) })
		c.Reset(to[0].Address)
		to[0].Clients++
		if asked++; asked%atOnce != 0 {
			continue
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return asked
		}
	}
	return asked
}
