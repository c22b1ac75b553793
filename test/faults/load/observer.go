package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/test/faults/history"
)

// observer reads one server through all its doors.
type observer struct {
	cfg    Config
	target Target
	client *http.Client
}

func newObserver(cfg Config, t Target) *observer {
	return &observer{cfg: cfg, target: t, client: newHTTP(time.Second)}
}

func (o *observer) run(ctx context.Context) {
	defer o.client.CloseIdleConnections()
	var names []string
	for i := range o.cfg.Services {
		names = append(names, service(i))
	}
	for i := range o.cfg.Churners {
		names = append(names, fmt.Sprint("churn-", i))
	}
	for i := 0; ctx.Err() == nil; i++ {
		if i%4 == 0 {
			o.status(ctx, i%20 == 0)
		}
		o.look(ctx, names[i%len(names)])
		rest(ctx, o.cfg.ObservePause)
	}
}

// look reads one service through every door. The SOA serial before and after
// says whether all of it was one revision.
func (o *observer) look(ctx context.Context, name string) {
	before, known := o.serial(ctx)
	reads := []history.Read{o.list(ctx, name, false), o.list(ctx, name, true), o.nacos(ctx, name), o.srv(ctx, name)}
	after, still := o.serial(ctx)
	if ctx.Err() != nil {
		return
	}
	for i, r := range reads {
		if known && still && before == after {
			r.Serial, r.HasSerial = before, true
		}
		// What publishes no age itself is as old as what was read before it at the
		// most, and the time since.
		if first := reads[0]; i > 0 && r.Age < 0 && first.Age >= 0 {
			r.Age = first.Age + r.Begin - first.Begin
		}
		o.cfg.Recorder.Read(r)
	}
}

func (o *observer) begin(door, name string) history.Read {
	return history.Read{Span: history.Span{Begin: o.cfg.Recorder.Now()}, Server: o.target.Name, Door: door, Service: name, Age: -1}
}

func (o *observer) serial(ctx context.Context) (uint32, bool) {
	s := history.Serial{Server: o.target.Name}
	s.Begin = o.cfg.Recorder.Now()
	reply, err := ask(ctx, o.target.DNS, Zone, dns.TypeSOA, resolverTimeout)
	if err != nil || len(reply.Answer) != 1 {
		return 0, false
	}
	soa, ok := reply.Answer[0].(*dns.SOA)
	if ok {
		s.Serial = soa.Serial
		o.cfg.Recorder.Serial(s)
	}
	return s.Serial, ok
}

// list reads by Muster's own API: all instances, or those that DNS answers.
func (o *observer) list(ctx context.Context, name string, healthy bool) history.Read {
	door, query := history.HTTP, url.Values(nil)
	if healthy {
		door, query = history.Healthy, url.Values{"healthy": {"true"}}
	}
	r := o.begin(door, name)
	got, err := call(ctx, o.client, http.MethodGet, o.target.URL+path(api.PathInstances, history.Key{Service: name}), query, nil)
	r.End = o.cfg.Recorder.Now()
	var list api.InstanceList
	switch {
	case err != nil:
		r.Detail = err.Error()
		return r
	case got.status == http.StatusNotFound:
		r.Answered, r.Detail = true, got.String()
	case got.status == http.StatusOK && json.Unmarshal(got.body, &list) == nil:
		r.Answered = true
	default:
		r.Detail = got.String()
	}
	r.Age, r.Revision = got.age(), max(got.revision(), list.Revision)
	for _, i := range list.Instances {
		endpoint := net.JoinHostPort(i.Address, strconv.Itoa(int(i.Port)))
		place(&r, endpoint, (i.Healthy == nil || *i.Healthy) && (i.Enabled == nil || *i.Enabled) && (i.Weight == nil || *i.Weight > 0))
	}
	finish(&r)
	return r
}

func place(r *history.Read, endpoint string, healthy bool) {
	if healthy {
		r.Healthy = append(r.Healthy, endpoint)
	} else {
		r.Unhealthy = append(r.Unhealthy, endpoint)
	}
}

func finish(r *history.Read) {
	slices.Sort(r.Healthy)
	slices.Sort(r.Unhealthy)
}

// nacos reads by the Nacos API, where a service that is unknown has no hosts.
func (o *observer) nacos(ctx context.Context, name string) history.Read {
	r := o.begin(history.Nacos, name)
	got, err := call(ctx, o.client, http.MethodGet, o.target.URL+"/nacos/v1/ns/instance/list", url.Values{"serviceName": {name}}, nil)
	r.End = o.cfg.Recorder.Now()
	var list struct {
		Hosts []struct {
			IP               string
			Port             int
			Weight           float64
			Healthy, Enabled bool
		}
	}
	if err != nil || got.status != http.StatusOK || json.Unmarshal(got.body, &list) != nil {
		r.Detail = fmt.Sprint(got, err)
		return r
	}
	r.Answered, r.Age, r.Revision = true, got.age(), got.revision()
	for _, h := range list.Hosts {
		place(&r, net.JoinHostPort(h.IP, strconv.Itoa(h.Port)), h.Healthy && h.Enabled && h.Weight > 0)
	}
	finish(&r)
	return r
}

// srv reads by DNS.
func (o *observer) srv(ctx context.Context, name string) history.Read {
	r := o.begin(history.DNS, name)
	reply, err := ask(ctx, o.target.DNS, domain(name), dns.TypeSRV, resolverTimeout)
	r.End = o.cfg.Recorder.Now()
	if err == nil {
		r.Healthy, r.Detail, err = located(reply)
	}
	if err != nil {
		r.Detail = err.Error()
		return r
	}
	r.Answered = true
	return r
}

// status reads what the server says of itself, and its metrics as well if asked.
func (o *observer) status(ctx context.Context, metrics bool) {
	s := history.State{Server: o.target.Name, Silenced: -1}
	s.Begin = o.cfg.Recorder.Now()
	got, err := call(ctx, o.client, http.MethodGet, o.target.URL+api.PathStatus, nil, nil)
	var status api.Status
	if err != nil || got.status != http.StatusOK || json.Unmarshal(got.body, &status) != nil {
		return
	}
	s.Judge, s.Ready, s.Stale, s.Revision = status.Judge, status.Ready, status.Stale, status.Revision
	s.Age, s.Digests = time.Duration(status.AgeMs)*time.Millisecond, status.Digests
	if metrics {
		s.Silenced = o.silenced(ctx)
	}
	o.cfg.Recorder.State(s)
}

// silenced returns how many verdicts of silence the server has written, negative
// when it does not say.
func (o *observer) silenced(ctx context.Context) int64 {
	got, err := call(ctx, o.client, http.MethodGet, o.target.URL+"/metrics", nil, nil)
	if err != nil || got.status != http.StatusOK {
		return -1
	}
	_, text, _ := strings.Cut(string(got.body), "\nmuster_sweep_verdicts_total{verdict=\"silent\"} ")
	text, _, _ = strings.Cut(text, "\n")
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return -1
	}
	return int64(n)
}
