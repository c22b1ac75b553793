package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/latency"
	"github.com/musterhq/muster/internal/openloop"
)

func changeCommand() *cli.Command {
	return &cli.Command{Name: "change", Usage: "change weights in Muster, and say how long DNS took to answer with them",
		Description: "Each change gives an instance of its own service another weight, over Muster's own API. A part of the changes is\n" +
			"watched: the SRV record is asked for from the moment that the call is sent until it has the weight.",
		Flags: concat(serverFlags(), paceFlags("100"), []cli.Flag{keepFlag(),
			&cli.StringFlag{Name: "dns", Value: "127.0.0.1:1053", Usage: "`ADDRESS` of the server's DNS"},
			&cli.StringFlag{Name: "zone", Value: "muster.internal", Usage: "`ZONE` of the server"},
			&cli.IntFlag{Name: "services", Value: 1000, Usage: "`NUMBER` of services, of one instance each"},
			&cli.StringFlag{Name: "prefix", Value: "bench-change", Usage: "`TEXT` that the names of services begin with"},
			&cli.IntFlag{Name: "watchers", Value: 8, Usage: "`NUMBER` of changes that are watched at once"},
			&cli.DurationFlag{Name: "every", Value: 500 * time.Microsecond, Usage: "between two questions of a watcher"}}),
		Action: benchChange}
}

// changes are what a run changes, and what its watchers saw.
type changes struct {
	roster

	caller *caller
	zone   string // with a dot at the end
	every  time.Duration
	watch  chan sight

	seen, after latency.Histogram
	never       atomic.Int64
	asked       atomic.Int64
}

// sight is a change to be watched.
type sight struct {
	name     string
	weight   uint16
	sent     time.Time
	answered chan time.Time // of the call; closed when it went wrong
}

// weights is how many weights an instance goes through. DNS has them 1000-fold.
const (
	weights  = 50
	dnsScale = 1000
)

func benchChange(c *cli.Context) (err error) {
	p, err := plan(c, 100)
	if err != nil {
		return err
	}
	s := &changes{zone: dns.Fqdn(c.String("zone")), every: c.Duration("every"), watch: make(chan sight)}
	s.roster = roster{namespace: defaultNamespace, prefix: c.String("prefix"), instances: 1, groups: 1}
	if s.services, err = number(c, "services", maxMade); err != nil {
		return err
	}
	watchers, err := number(c, "watchers", 1000)
	if err != nil {
		return err
	}
	if s.caller, err = dial(c); err != nil {
		return err
	}
	defer s.caller.close()
	if !c.Bool("keep") {
		defer func() { joined(&err, s.dismiss(c.Context)) }()
	}
	if _, err := each(c.Context, s.caller, s.services, "register", func(ctx context.Context, at openloop.Slot) string {
		return s.put(ctx, at.Worker, int(at.N), weights)
	}); err != nil {
		return err
	}
	if err := s.answers(c.Context, c.String("dns")); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range watchers {
		eye, err := net.Dial("udp", c.String("dns")) //nolint:noctx // a UDP socket waits for nobody
		if err != nil {
			close(s.watch)
			return err
		}
		wg.Go(func() { s.look(eye) })
	}
	r := openloop.Run(c.Context, p, len(s.caller.conns), []string{"change"}, s.change)
	close(s.watch)
	wg.Wait()
	return s.report(r).publish(c, s.caller)
}

func (s *changes) path(n int) string {
	m := s.member(n)
	return strings.NewReplacer("{namespace}", url.PathEscape(s.namespace), "{group}", m.group, "{service}", m.service,
		"{endpoint}", url.PathEscape(fmt.Sprintf("%s:%d", m.address, m.port))).Replace(api.PathInstance)
}

// put declares an instance that stays and is not checked.
func (s *changes) put(ctx context.Context, on, n, weight int) string {
	m := s.member(n)
	w := float64(weight)
	body, err := json.Marshal(api.Instance{Address: m.address, Port: m.port, Weight: &w})
	if err != nil {
		return err.Error()
	}
	return s.caller.call(ctx, on, request{method: http.MethodPut, path: s.path(n), body: string(body), mime: mimeJSON}, nil)
}

func (s *changes) dismiss(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := each(ctx, s.caller, s.services, "deregister", func(ctx context.Context, at openloop.Slot) string {
		return s.caller.call(ctx, at.Worker, request{method: http.MethodDelete, path: s.path(int(at.N))}, nil)
	})
	return err
}

// change changes one instance, and has it watched if somebody is free to.
func (s *changes) change(ctx context.Context, at openloop.Slot) (int, string) {
	n, weight := int(at.N%int64(s.services)), 1+int(at.N/int64(s.services))%weights
	seen := sight{s.dnsName(n), uint16(weight * dnsScale), time.Now(), make(chan time.Time, 1)}
	defer close(seen.answered)
	select {
	case s.watch <- seen:
	default:
	}
	fault := s.put(ctx, at.Worker, n, weight)
	if fault == "" {
		seen.answered <- time.Now()
	}
	return 0, fault
}

func (s *changes) dnsName(n int) string { return s.serviceName(n) + ".svc." + s.zone }

func (s *changes) report(r openloop.Result) report {
	out := report{Runs: []openloop.Result{r}, Times: []times{
		{Name: "sent to seen in DNS", Took: s.seen.Summary()},
		{Name: "answered to seen in DNS", Took: s.after.Summary()},
	}, Figures: map[string]float64{"questions of the watchers": float64(s.asked.Load())}}
	if never := s.never.Load(); never > 0 {
		out.Times[0].Fault = map[string]int64{"not seen in " + seenWithin.String(): never}
	}
	return out
}
