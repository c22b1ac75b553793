package track_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/track"
)

// world is a Track over a real file, in virtual time, whose Run goes on until
// stop.
type world struct {
	*track.Track

	t    *testing.T
	cfg  track.Config
	reg  *prometheus.Registry
	log  *bytes.Buffer
	stop func()
}

func newWorld(t *testing.T, cfg track.Config) *world {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "track.db")
	}
	w := &world{t: t, cfg: cfg, log: new(bytes.Buffer)}
	w.start()
	return w
}

// start opens the track anew, with metrics that begin at 0.
func (w *world) start() {
	w.t.Helper()
	w.open()
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Run(ctx); err != nil {
			w.t.Errorf("Run = %v", err)
		}
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		w.close()
	})
	w.t.Cleanup(func() { w.stop() })
}

// open opens the track and nothing runs.
func (w *world) open() {
	w.t.Helper()
	w.reg = prometheus.NewRegistry()
	cfg := w.cfg
	cfg.Registerer, cfg.Logger = w.reg, slog.New(slog.NewTextHandler(w.log, nil))
	var err error
	if w.Track, err = track.Open(cfg); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	w.t.Helper()
	if err := w.Close(); err != nil {
		w.t.Errorf("Close = %v", err)
	}
}

// metric returns the value of a counter or gauge, of all its labels together.
func (w *world) metric(name string) int {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "muster_config_track_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return int(sum)
}

func (w *world) wantMetric(name string, want int) {
	w.t.Helper()
	if got := w.metric(name); got != want {
		w.t.Errorf("%s = %d, want %d", name, got, want)
	}
}

// wantHolders compares who holds a document, in words.
func (w *world) wantHolders(data string, want ...string) {
	w.t.Helper()
	all, err := w.Holders(key(data))
	if err != nil {
		w.t.Errorf("Holders(%s): %v", data, err)
	}
	if got, want := words(all), strings.Join(want, "\n"); got != want {
		w.t.Errorf("holders of %s:\n%s\nwant:\n%s", data, got, want)
	}
}

func key(data string) config.Key {
	return config.Key{Namespace: "public", Group: "DEFAULT_GROUP", DataID: data}
}

func poll(id string) track.Client { return track.Client{ID: id, Kind: track.KindPoll} }

// sum returns the MD5 of a short name, none of an empty one.
func sum(name string) string {
	if name == "" {
		return ""
	}
	s := md5.Sum([]byte(name))
	return hex.EncodeToString(s[:])
}

// names of what has an MD5 in these tests.
var names = func() map[string]string {
	all := map[string]string{"": "nothing"}
	for _, name := range []string{"A", "B", "C", "D"} {
		all[sum(name)] = name
	}
	return all
}()

// words tells of holders: "id kind state MD5 (release) since 2s seen 3s; offer
// state MD5 (release) at 4s: detail", times since the bubble began.
func words(all []track.Holder) string {
	lines := make([]string, len(all))
	for i, h := range all {
		lines[i] = fmt.Sprintf("%s %s %s since %s seen %s", h.Client.ID, h.Client.Kind,
			of(h.State, h.MD5, h.Release), after(h.Since), after(h.Seen))
		if o := h.Offer; o != nil {
			lines[i] += fmt.Sprintf("; %s at %s", of(o.State, o.MD5, o.Release), after(o.At))
			if o.Detail != "" {
				lines[i] += ": " + o.Detail
			}
		}
	}
	return strings.Join(lines, "\n")
}

func of(state, md5, release string) string {
	s := state + " " + names[md5]
	if state == "" {
		s = "unknown"
	}
	if release != "" {
		s += " (" + release + ")"
	}
	return s
}

// epoch is when a bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func after(t time.Time) string { return t.Sub(epoch).String() }

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

func TestMetricsLint(t *testing.T) {
	reg := prometheus.NewRegistry()
	tr, err := track.Open(track.Config{Path: filepath.Join(t.TempDir(), "track.db"), Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint = %v, %v", problems, err)
	}
}
