package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/test/binary"
)

// Timeouts of what beats in the test: a beat that is lost or late shows soon.
const (
	overloadBeat    = time.Second
	overloadSilence = 4 * time.Second
	overloadDelete  = 8 * time.Second
	// overloadLate is how late those who beat may be by their own fault, which is the
	// machine's: the server is not to blame then for who is called silent.
	overloadLate = time.Second
)

// overload is a server that is asked for more than it can do, and those who beat
// meanwhile.
type overload struct {
	*serverProcess

	client *http.Client

	mu       sync.Mutex
	statuses map[int]int     // of lists
	lists    []time.Duration // how long those took that were answered
	beats    []time.Duration // how long each took
	failed   []string        // beats and questions for health
	late     time.Duration   // how long after its time a beat was begun, at the most
}

// More lists and DNS questions come than the processors can do: every beat is taken,
// nobody is called silent or removed, health is told, and memory stays what it was.
// MUSTER_LONG=1 goes on for a minute.
func TestOverload(t *testing.T) {
	long := 6 * time.Second
	if binary.Long() {
		long = time.Minute
	}
	s := newServer(t, t.TempDir())
	s.env = []string{"GOMAXPROCS=2"} // with many processors it would refuse nobody
	s.start()
	t.Cleanup(s.stop)
	o := &overload{serverProcess: s, statuses: map[int]int{},
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	agents := []string{"crowd"}
	o.declare("crowd", "crowd", 2000)
	for i := range 20 {
		agents = append(agents, fmt.Sprint("host-", i))
		o.declare(agents[len(agents)-1], fmt.Sprint("app-", i), 5)
	}
	for i := range 20 {
		s.call(http.MethodPost, pathInstance, params("serviceName", "alone", "ip", fmt.Sprintf("10.1.0.%d", i), "port", "80", "metadata",
			fmt.Sprintf(`{"preserved.heart.beat.interval":"%d","preserved.heart.beat.timeout":"%d","preserved.ip.delete.timeout":"%d"}`,
				overloadBeat.Milliseconds(), overloadSilence.Milliseconds(), overloadDelete.Milliseconds())))
	}
	before := s.resident()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var running sync.WaitGroup
	for _, id := range agents {
		running.Go(func() {
			o.every(ctx, overloadBeat, http.MethodPost, "/v1/agents/"+id+"/beat", `{"incarnation":"1","sequence":1,"digest":"unknown"}`)
		})
	}
	for i := range 20 {
		running.Go(func() {
			o.every(ctx, overloadBeat, http.MethodPut, fmt.Sprintf("/nacos/v1/ns/instance/beat?serviceName=alone&ip=10.1.0.%d&port=80", i), "")
		})
	}
	running.Go(func() { o.every(ctx, overloadBeat/5, http.MethodGet, "/readyz", "") })
	var peak atomic.Int64
	running.Go(func() {
		for ctx.Err() == nil {
			peak.Store(max(peak.Load(), s.resident()))
			pauseFor(ctx, 100*time.Millisecond)
		}
	})
	for range 64 {
		running.Go(func() { o.list(ctx) })
	}
	for range 4 {
		running.Go(func() { o.resolve(ctx) })
	}
	running.Wait()
	o.judge(t, before, peak.Load())
}

// declare has an agent declare n instances of a service.
func (o *overload) declare(id, service string, n int) {
	o.t.Helper()
	type instance map[string]any
	var set []instance
	for i := range n {
		set = append(set, instance{"service": service, "address": fmt.Sprintf("10.%d.%d.%d", len(id), i>>8, i&255), "port": 80, "health": "passing",
			"metadata": map[string]string{"preserved.heart.beat.interval": strconv.FormatInt(overloadBeat.Milliseconds(), 10),
				"preserved.heart.beat.timeout": strconv.FormatInt(overloadSilence.Milliseconds(), 10),
				"preserved.ip.delete.timeout":  strconv.FormatInt(overloadDelete.Milliseconds(), 10)}})
	}
	body, err := json.Marshal(map[string]any{"incarnation": "1", "host": id, "instances": set})
	if err != nil {
		o.t.Fatalf("%v", err)
	}
	if status, answer, err := o.ask(http.MethodPut, "/v1/agents/"+id, string(body)); err != nil || status != http.StatusOK {
		o.t.Fatalf("declare %s = %d %q, %v", id, status, answer, err)
	}
}

func (o *overload) ask(method, path, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(context.Background(), method, o.url()+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var to bytes.Buffer
	_, err = io.Copy(&to, resp.Body)
	return resp.StatusCode, to.String(), err
}

// pauseFor waits, or until ctx ends.
func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// every makes a call that must succeed, again and again.
func (o *overload) every(ctx context.Context, pause time.Duration, method, path, body string) {
	for due := time.Now(); ctx.Err() == nil; {
		began := time.Now()
		status, answer, err := o.ask(method, path, body)
		o.mu.Lock()
		o.late = max(o.late, began.Sub(due))
		o.beats = append(o.beats, time.Since(began))
		if err != nil || status != http.StatusOK {
			o.failed = append(o.failed, fmt.Sprintf("%s %s = %d %.100q, %v", method, path, status, answer, err))
		}
		o.mu.Unlock()
		due = time.Now().Add(max(pause-time.Since(began), 0))
		pauseFor(ctx, time.Until(due))
	}
}

// list asks for the crowd, without a pause.
func (o *overload) list(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		status, _, err := o.ask(http.MethodGet, pathInstance+"/list?serviceName=crowd", "")
		if err != nil {
			status = 0
		}
		o.mu.Lock()
		o.statuses[status]++
		if status == http.StatusOK {
			o.lists = append(o.lists, time.Since(began))
		}
		o.mu.Unlock()
	}
}

// resolve asks DNS without a pause; what comes of it does not matter here.
func (o *overload) resolve(ctx context.Context) {
	c, err := dns.Dial("udp", o.dns)
	if err != nil {
		return
	}
	defer c.Close()
	question := new(dns.Msg).SetQuestion("app-1"+zone, dns.TypeA)
	for ctx.Err() == nil {
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if c.WriteMsg(question) == nil {
			_, _ = c.ReadMsg()
		}
	}
}

// judge holds what came of it against what must not happen.
func (o *overload) judge(t *testing.T, before, peak int64) {
	t.Helper()
	if o.statuses[http.StatusOK] == 0 || o.statuses[http.StatusServiceUnavailable] == 0 {
		t.Fatalf("lists were answered %v, want some 200 and, as there are too many, some 503", o.statuses)
	}
	slices.Sort(o.beats)
	slices.Sort(o.lists)
	t.Logf("%d lists answered, median %v, 99 %% within %v, and %d refused", len(o.lists), o.lists[len(o.lists)/2], o.lists[len(o.lists)*99/100],
		o.statuses[http.StatusServiceUnavailable])
	t.Logf("%d beats and questions for health: median %v, 99 %% within %v, all within %v",
		len(o.beats), o.beats[len(o.beats)/2], o.beats[len(o.beats)*99/100], o.beats[len(o.beats)-1])
	t.Logf("memory %d MiB at first, %d at the most", before>>20, peak>>20)
	if len(o.failed) > 0 {
		t.Errorf("%d beats or questions for health failed, such as %s", len(o.failed), o.failed[0])
	}
	for status, n := range o.statuses {
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Errorf("%d lists were answered %d, want 200, or 503 when there are too many", n, status)
		}
	}
	metrics := o.call(http.MethodGet, "/metrics", nil)
	for _, verdict := range []string{"silent", "removed"} {
		if found := regexp.MustCompile(`muster_sweep_verdicts_total\{verdict="` + verdict + `"\} [1-9]`).FindString(metrics); found != "" {
			if o.late > overloadLate {
				t.Logf("%s, but beats were sent up to %v late", found, o.late)
				continue
			}
			t.Errorf("%s: somebody who beats was judged, and no beat was sent more than %v late", found, o.late)
		}
	}
	if peak > before+256<<20 {
		t.Errorf("memory grew from %d to %d MiB", before>>20, peak>>20)
	}
	if n := len(o.hosts("crowd")); n != 2000 {
		t.Errorf("%d of 2000 instances are there", n)
	}
}

// resident returns the memory of the server's process, 0 where that is not known.
func (s *serverProcess) resident() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	line, _, _ := strings.Cut(after, "\n")
	kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
	return kib << 10
}
