package scale_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/test/binary"
)

// patience is for a million of something on a slow machine.
const patience = 15 * time.Minute

// world is a server on a data directory of its own.
type world struct {
	t    *testing.T
	data string
	http string
	dns  string
	*binary.Process
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, data: t.TempDir()}
	for _, at := range []*string{&w.http, &w.dns} {
		port, err := freeport.Keep("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		*at = fmt.Sprintf("127.0.0.1:%d", port)
	}
	return w
}

// start starts the server and returns how long it took until it gave the right answer
// for a name.
func (w *world) start(name string, right func(*dns.Msg) bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	if w.Process == nil {
		w.Process = binary.Start(w.t, binary.Muster(), "server", "--http", w.http, "--grpc", "127.0.0.1:0", "--dns", w.dns, "--data-dir", w.data, "--min-free", "0")
	} else {
		w.Restart()
	}
	w.AwaitFor(patience, "an answer for "+name, func() bool {
		reply, err := w.ask(name, dns.TypeA)
		return err == nil && right(reply)
	})
	took := time.Since(began)
	w.AwaitFor(patience, "readiness", func() bool { return binary.Status(w.t.Context(), "http://"+w.http+"/readyz") == http.StatusOK })
	return took
}

// ask asks the server's DNS once.
func (w *world) ask(name string, qtype uint16) (*dns.Msg, error) {
	c := dns.Client{Timeout: time.Second}
	reply, _, err := c.ExchangeContext(w.t.Context(), new(dns.Msg).SetQuestion(name, qtype), w.dns)
	return reply, err
}

// addresses tells an answer with at least one address.
func addresses(reply *dns.Msg) bool { return reply.Rcode == dns.RcodeSuccess && len(reply.Answer) > 0 }

// say writes a figure down.
func (w *world) say(format string, args ...any) {
	w.t.Helper()
	w.t.Logf("FIGURE "+format, args...)
}

// found is what the load generator writes, as far as it matters here.
type found struct {
	Runs []struct {
		Intended  float64 `json:"intended_per_second"`
		Started   int64   `json:"started"`
		Unstarted int64   `json:"unstarted"`
		Elapsed   float64 `json:"elapsed_ns"`
		Kinds     []struct {
			Name    string           `json:"name"`
			Done    int64            `json:"done"`
			Faults  map[string]int64 `json:"faults"`
			Latency summary          `json:"latency"`
		} `json:"kinds"`
	} `json:"runs"`
	Times []struct {
		Name   string           `json:"name"`
		Took   summary          `json:"took"`
		Faults map[string]int64 `json:"faults"`
	} `json:"times"`
	Figures map[string]float64 `json:"figures"`
	Notes   []string           `json:"notes"`
}

type summary struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

func (s summary) String() string {
	return fmt.Sprintf("%d: p50 %s p90 %s p99 %s p99.9 %s max %s", s.Count, s.P50.Round(time.Microsecond), s.P90.Round(time.Microsecond),
		s.P99.Round(time.Microsecond), s.P999.Round(time.Microsecond), s.Max.Round(time.Microsecond))
}

// bench runs the load generator.
func (w *world) bench(args ...string) found {
	w.t.Helper()
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(w.t.Context(), bench, append(args, "--json")...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.Env = append(os.Environ(), "MUSTER_SERVER=http://"+w.http)
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("%v: %v\n%s%s", cmd.Args, err, problems.String(), out.String())
	}
	var f found
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		w.t.Fatalf("%v wrote %s: %v", cmd.Args, out.String(), err)
	}
	for _, run := range f.Runs {
		for _, k := range run.Kinds {
			w.say("muster-bench %s: %s: %.1f/s, %s %v", args[0], k.Name, float64(k.Done)/run.Elapsed*1e9, k.Latency, k.Faults)
		}
	}
	for _, one := range f.Times {
		w.say("muster-bench %s: %s: %s %v", args[0], one.Name, one.Took, one.Faults)
	}
	for name, figure := range f.Figures {
		w.say("muster-bench %s: %s: %.6g", args[0], name, figure)
	}
	for _, note := range f.Notes {
		w.say("muster-bench %s: note: %s", args[0], note)
	}
	return f
}

// roster are the flags that say which instances there are.
func roster(services, instances int) []string {
	return []string{"--services", strconv.Itoa(services), "--instances", strconv.Itoa(instances), "--metadata", strconv.Itoa(*metadata)}
}

// memory says what the server and its etcd take, for so many instances.
func (w *world) memory(when string, of int) {
	w.t.Helper()
	server := resident(w.t, w.PID())
	w.say("memory %s: server %.1f MiB resident, %.0f bytes an instance", when, server/(1<<20), server/float64(of))
	for _, child := range children(w.t, w.PID()) {
		etcd := resident(w.t, child)
		w.say("memory %s: etcd %.1f MiB resident, %.0f bytes an instance", when, etcd/(1<<20), etcd/float64(of))
	}
	for _, metric := range []string{"go_memstats_next_gc_bytes", "go_memstats_heap_alloc_bytes", "go_memstats_heap_objects"} {
		is := w.metric(metric) // the first one is twice what was in use at the last collection
		w.say("memory %s: server %s %.0f, %.2f an instance", when, metric, is, is/float64(of))
	}
	w.say("the server has used %s of CPU since its start", used(w.t, w.PID()))
}

// tick is in what the system counts the CPU time of processes.
const tick = 10 * time.Millisecond

// used returns how much CPU time a process has used, its children apart.
func used(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest) // from the third one on
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * tick
}

// resident returns how many bytes of memory a process has.
func resident(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
	if found == nil {
		t.Fatalf("no VmRSS of process %d in %s", pid, b)
	}
	n, _ := strconv.ParseFloat(string(found[1]), 64)
	return n * 1024
}

// children returns the processes that a process has started.
func children(t *testing.T, pid int) (all []int) {
	t.Helper()
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, _ := os.ReadFile(task) // a task may have ended
		for field := range strings.FieldsSeq(string(b)) {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, n)
		}
	}
	return all
}

// metric returns a metric without labels.
func (w *world) metric(name string) float64 {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+w.http+"/metrics", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				w.t.Fatal(err)
			}
			return n
		}
	}
	w.t.Fatalf("no metric %s", name)
	return 0
}

// host and port of the server's DNS, as dnsperf has them.
func (w *world) dnsPort() (host, port string) {
	host, port, _ = net.SplitHostPort(w.dns)
	return host, port
}
