package checks_test

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/targets"
)

func startEtcd(t *testing.T) *binary.Etcd {
	t.Helper()
	etcd, err := binary.BuildEtcd(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return binary.StartEtcd(t, etcd, targets.FreeAddress(t), targets.FreeAddress(t))
}

func (h *house) judges() bool {
	s, err := h.api.Status(h.t.Context())
	return err == nil && s.Judge
}

// follows demands that h shows an instance as failing until the function that it
// returns is called.
func (h *house) follows(t *testing.T, service string) (end func()) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		binary.Poll(time.Hour, func() bool {
			i, _, err := h.api.Instance(t.Context(), client.Name{Name: service}, h.endpoint[service])
			if err != nil || *i.Healthy || !i.Failing {
				t.Errorf("%s at %s = %+v, %v, want that its check fails", service, h.HTTP, i, err)
				return true
			}
			return false
		}, stop)
	})
	return sync.OnceFunc(func() { close(stop); wg.Wait() })
}

// A verdict outlives the judge that wrote it, until another one has seen the check
// pass, as often as it must.
func TestAJudgeIsKilled(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	judge, other := open(t, "--etcd", etcd.URL), open(t, "--etcd", etcd.URL)
	binary.Eventually(t, time.Minute, "one of them judges", func() bool { return judge.judges() || other.judges() })
	if other.judges() {
		judge, other = other, judge
	}
	down, back := startCrowd(t, nil), startCrowd(t, nil)
	down.fails.Store(true)
	back.fails.Store(true)
	judge.register("down", down.address(0), often(api.HealthCheck{Kind: "http"}))
	judge.register("back", back.address(0), often(api.HealthCheck{Kind: "http"}))
	other.endpoint = judge.endpoint
	for _, service := range []string{"down", "back"} {
		binary.Eventually(t, time.Minute, service+" fails", func() bool { return other.instance(service).Failing })
		other.shows(service, false)
	}
	stands := other.follows(t, "down")
	up := other.flip("back", "http", true, rise, passing)
	back.fails.Store(false)
	judge.Kill()
	come(t, "the target is back under another judge", up)
	stay(t, other.flip("down", "http", false, fall, failing))
	stands()
	up = other.flip("down", "http", true, 2*rise, passing) // of two
	down.fails.Store(false)
	binary.Eventually(t, time.Minute, "down is healthy", func() bool { return other.healthy("down") })
	if n := up.tries(); n < rise {
		t.Errorf("%d tries passed when the instance was healthy, want %d", n, rise)
	}
	other.shows("down", true)
}

// What an earlier check finds says nothing about an instance that is checked otherwise
// by then.
func TestACheckChangesWhileItIsTried(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := startCrowd(t, func(net.IP) bool { return true })
	tcp := often(api.HealthCheck{Kind: "tcp"})
	h.register("changing", c.address(0), tcp)
	for range 3 {
		tries := c.tries.Load()
		h.says("changing", api.HealthCheck{Kind: "http", Interval: 1000, Rise: 1, Fall: 1})
		binary.Eventually(t, time.Minute, "a try is under way", func() bool { return c.hanging() > 0 && c.tries.Load() > tries })
		f := h.flip("changing", "tcp", true, 2, passing)
		h.says("changing", tcp)
		stay(t, f)
		if n := h.tries("http", failing...); n != 0 {
			t.Errorf("%d results of a check that is not made any more count", n)
		}
	}
}

// A service whose many instances are checked, and fail in part, goes without a trace.
func TestManyAreDeregistered(t *testing.T) {
	t.Parallel()
	h := open(t)
	good, bad := startCrowd(t, nil), startCrowd(t, nil)
	bad.fails.Store(true)
	check := api.HealthCheck{Kind: "http", Interval: 1000, Rise: 1, Fall: 1}
	h.says("many", check)
	empty := h.metrics()
	var endpoints []string
	var g errgroup.Group
	g.SetLimit(16)
	for n := range 1000 {
		at := good.address(n)
		if n%2 == 1 {
			at = bad.address(n)
		}
		endpoints = append(endpoints, at)
		g.Go(func() error { return h.add("many", at) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	binary.Eventually(t, time.Minute, "every second one fails", func() bool { return h.failing("many") == 500 })
	for _, at := range endpoints {
		g.Go(func() error { return h.api.Deregister(t.Context(), client.Name{Name: "many"}, at) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := h.api.DeleteService(t.Context(), client.Name{Name: "many"}); err != nil {
		t.Fatal(err)
	}
	binary.Eventually(t, time.Minute, "nothing is checked", func() bool { return h.metrics()["muster_check_instances"] == 0 })
	binary.Eventually(t, time.Minute, "nobody is called any more", func() bool {
		n := good.tries.Load() + bad.tries.Load()
		wait(t.Context(), 1500*time.Millisecond)
		return n == good.tries.Load()+bad.tries.Load()
	})
	for _, what := range []string{"go_goroutines", "process_open_fds"} {
		binary.Eventually(t, time.Minute, what+" is as before", func() bool { return h.metrics()[what] <= empty[what]+30 }) // our own calls
	}
	if n := h.metrics()["muster_check_failures_total"]; n != 0 {
		t.Errorf("%v verdicts could not be written", n)
	}
	h.register("many", bad.address(1), check)
	if i := h.instance("many"); i.Failing {
		t.Error("a verdict of an instance that was removed counts for one that is new")
	}
}

// When many fail at one moment DNS goes on, each has one verdict, and they travel
// together. No verdict is lost while etcd is away.
func TestManyFailAtOnce(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	h := open(t, "--etcd", etcd.URL)
	c := startCrowd(t, nil)
	const many = 1000
	services := h.settle(c, many, api.HealthCheck{Kind: "http", Interval: 1000, Rise: 2, Fall: 2})
	all := func(failing bool) func() bool {
		return func() bool {
			n := 0
			for _, s := range services {
				n += h.failing(s)
			}
			return n == many == failing && (n == 0) == !failing
		}
	}
	binary.Eventually(t, time.Minute, "all are tried", func() bool { return h.tries("http", "passed") > 3*many })
	calm := h.asks(services[0], func() { wait(t.Context(), 2*time.Second) })
	before := h.metrics()
	storm := h.asks(services[0], func() {
		c.fails.Store(true)
		binary.Eventually(t, time.Minute, "all fail", all(true))
	})
	h.wrote(before, "fails", many)
	t.Logf("p99 of DNS is %v, and %v while %d targets begin to fail", calm, storm, many)
	if storm > max(10*calm, 50*time.Millisecond) {
		t.Errorf("p99 of DNS is %v, and %v while %d targets begin to fail", calm, storm, many)
	}

	// They are back while etcd hangs, and the verdicts wait.
	etcd.Signal(syscall.SIGSTOP)
	c.fails.Store(false)
	tries := c.tries.Load()
	binary.Eventually(t, 60*time.Second, "all are tried while etcd hangs", func() bool { return c.tries.Load() > tries+5*many })
	if !all(true)() {
		t.Error("some are healthy though nothing could be written")
	}
	before = h.metrics()
	etcd.Signal(syscall.SIGCONT)
	binary.Eventually(t, time.Minute, "all pass", all(false))
	h.wrote(before, "passes", many)

	// They fail while etcd is dead, and for so long that nobody judges any more.
	etcd.Kill()
	c.fails.Store(true)
	binary.Eventually(t, 60*time.Second, "nobody is tried any more", func() bool {
		n := c.tries.Load()
		wait(t.Context(), 2*time.Second)
		return n == c.tries.Load()
	})
	if !all(false)() {
		t.Error("some fail though nothing could be written")
	}
	etcd.Restart()
	etcd.AwaitHealth()
	binary.Eventually(t, 60*time.Second, "all fail", all(true))
}

// asks asks DNS all the time while something happens, and returns how long the slowest
// of a hundred answers took.
func (h *house) asks(service string, happens func()) time.Duration {
	h.t.Helper()
	var took []time.Duration
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		q := new(dns.Msg).SetQuestion(service+".svc.muster.internal.", dns.TypeA)
		for {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			if reply, err := dns.ExchangeContext(h.t.Context(), q, h.DNS); err != nil || reply.Rcode != dns.RcodeSuccess {
				h.t.Errorf("A of %s: %v, %v", service, reply, err)
				return
			}
			took = append(took, time.Since(began))
		}
	})
	happens()
	close(stop)
	wg.Wait()
	slices.Sort(took)
	return took[len(took)*99/100]
}

// wrote demands that each instance has had one verdict since before, and shows in how
// many transactions.
func (h *house) wrote(before map[string]float64, verdict string, many float64) {
	h.t.Helper()
	after := h.metrics()
	since := func(name string) float64 { return after[name] - before[name] }
	n := since(`muster_check_verdicts_total{verdict="` + verdict + `"}`)
	commits, writes := since("muster_etcd_commit_writes_count"), since("muster_etcd_commit_writes_sum")
	h.t.Logf("%v verdicts that say %s, %v writes in %v transactions", n, verdict, writes, commits)
	// Some are counted only a moment after everybody sees them, and one whose transaction
	// was answered too late is not counted.
	if n < .9*many || n > 1.05*many {
		h.t.Errorf("%v verdicts that say %s, want one of each of %v", n, verdict, many)
	}
	if commits > writes/2 {
		h.t.Errorf("%v writes in %v transactions, want them together", writes, commits)
	}
}
