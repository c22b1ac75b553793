package load

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/test/faults/history"
)

// beater is one instance that beats over HTTP as an SDK does: it keeps to a
// server until that one fails, then tries the next at once, and registers again
// when it is told that it is unknown.
type beater struct {
	cfg        Config
	client     *http.Client
	key        history.Key
	nacos      bool
	random     *rand.Rand
	server     int // index of the one in use
	registered atomic.Bool
	silent     atomic.Bool
}

func (l *Load) newBeater(i int) *beater {
	b := &beater{cfg: l.cfg, client: l.beating, nacos: i%2 == 1, random: l.cfg.random(partBeater, i)}
	b.key = history.Key{Service: service(i % l.cfg.Services), Endpoint: fmt.Sprintf("10.1.%d.%d:8080", i/250, i%250+1)}
	b.server = b.random.IntN(len(l.cfg.Servers))
	l.cfg.Recorder.Join(b.key, l.cfg.Timeouts)
	return b
}

// silence reports whether it beat until now.
func (b *beater) silence() bool { return b.silent.CompareAndSwap(false, true) }

func (b *beater) run(ctx context.Context) {
	known := false
	for ctx.Err() == nil {
		if b.silent.Load() {
			rest(ctx, 50*time.Millisecond)
			continue
		}
		began := time.Now()
		for range len(b.cfg.Servers) + 1 {
			was := known
			done := false
			if done, known = b.try(ctx, known); done || ctx.Err() != nil || b.silent.Load() {
				break
			}
			if was == known { // not merely told to register
				b.server = (b.server + 1) % len(b.cfg.Servers)
			}
		}
		pause := b.cfg.Timeouts.Interval - time.Duration(b.random.Int64N(int64(b.cfg.Timeouts.Interval/10)))
		rest(ctx, pause-time.Since(began))
	}
}

// try makes one call: a registration unless known, else a beat. done says
// whether the server took it.
func (b *beater) try(ctx context.Context, known bool) (done, stillKnown bool) {
	target := b.cfg.Servers[b.server]
	beat := history.Beat{Keys: []history.Key{b.key}, Server: target.Name}
	beat.Begin = b.cfg.Recorder.Now()
	send := b.own
	if b.nacos {
		send = b.nacosCall
	}
	r, err := send(ctx, target, !known)
	if ctx.Err() != nil {
		return false, known
	}
	unknown := false
	switch {
	case err != nil:
		beat.Detail = err.Error()
	case r.status == http.StatusNotFound:
		unknown, beat.Detail = true, r.String()
	case r.status >= 300:
		beat.Detail = r.String()
	case known && b.nacos && !isTaken(r):
		unknown, beat.Detail = true, r.String()
	default:
		beat.Accepted = true
	}
	b.cfg.Recorder.Beat(beat)
	if beat.Accepted {
		b.registered.Store(true)
	}
	return beat.Accepted, (known || beat.Accepted) && !unknown
}

func isTaken(r reply) bool {
	var answer struct{ Code int }
	return json.Unmarshal(r.body, &answer) == nil && answer.Code == 10200
}

// metadata asks for the timeouts of the load.
func (c Config) metadata() map[string]string {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return map[string]string{
		"preserved.heart.beat.interval": ms(c.Timeouts.Interval),
		"preserved.heart.beat.timeout":  ms(c.Timeouts.Unhealthy),
		"preserved.ip.delete.timeout":   ms(c.Timeouts.Delete),
	}
}

// own registers or beats by Muster's own API.
func (b *beater) own(ctx context.Context, t Target, register bool) (reply, error) {
	if register {
		body := map[string]any{"ephemeral": true, "metadata": b.cfg.metadata()}
		return call(ctx, b.client, http.MethodPut, t.URL+path(api.PathInstance, b.key), nil, body)
	}
	return call(ctx, b.client, http.MethodPost, t.URL+path(api.PathBeat, b.key), nil, nil)
}

// nacosCall registers or beats by the Nacos API, with light beats.
func (b *beater) nacosCall(ctx context.Context, t Target, register bool) (reply, error) {
	host, port, _ := strings.Cut(b.key.Endpoint, ":")
	query := url.Values{"serviceName": {b.key.Service}, "ip": {host}, "port": {port}}
	const instance = "/nacos/v1/ns/instance"
	if !register {
		return call(ctx, b.client, http.MethodPut, t.URL+instance+"/beat", query, nil)
	}
	metadata, err := json.Marshal(b.cfg.metadata())
	if err != nil {
		return reply{}, err
	}
	query.Set("metadata", string(metadata))
	return call(ctx, b.client, http.MethodPost, t.URL+instance, query, nil)
}

// path fills in a path of the API.
func path(pattern string, k history.Key) string {
	return strings.NewReplacer("{namespace}", "public", "{group}", "DEFAULT_GROUP", "{service}", url.PathEscape(k.Service),
		"{endpoint}", url.PathEscape(k.Endpoint)).Replace(pattern)
}
