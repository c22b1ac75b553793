package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
)

// TestWatchCommands follows what changes from other commands and through a restart
// of the server; to be interrupted is no failure.
func TestWatchCommands(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	run := func(args ...string) {
		t.Helper()
		if code, out := command(t, append(args, "--server", s.url())...); code != exitDone {
			t.Fatalf("muster %v = %d\n%s", args, code, out)
		}
	}
	watch := func(args ...string) *process {
		p := &process{t: t, args: append(args, "--server", s.url())}
		p.start()
		t.Cleanup(p.kill)
		return p
	}
	run("instance", "register", "order-api", "192.0.2.1:80")
	services, instances := watch("service", "watch"), watch("instance", "watch", "order-api", "-o", "json")
	later := watch("instance", "watch", "order-api", "--new")
	services.says("added +DEFAULT_GROUP +order-api +persistent +1/1 +order-api.svc")
	instances.says(`{"change":"added","revision":\d+,"service":{"namespace":"public","group":"DEFAULT_GROUP","name":"order-api"},"instance":{"address":"192.0.2.1"`)
	later.says("TIME {6}CHANGE {3}ENDPOINT") // wide enough for what comes

	run("instance", "disable", "order-api", "192.0.2.1:80")
	services.says("changed +DEFAULT_GROUP +order-api +persistent +0/1")
	instances.says(`"change":"changed".*"enabled":false`)
	later.says("changed +192.0.2.1:80 +DEFAULT +1 +disabled")

	s.stop()
	s.start()
	run("instance", "register", "order-api", "192.0.2.2:80")
	run("instance", "deregister", "order-api", "192.0.2.1:80")
	instances.says(`"change":"added".*"address":"192.0.2.2"`)
	instances.says(`"change":"removed".*"address":"192.0.2.1"`)
	later.says("added +192.0.2.2:80") // before it is gone: states in between are not told
	run("instance", "deregister", "order-api", "192.0.2.2:80")
	run("service", "rm", "order-api")
	services.says("removed +DEFAULT_GROUP +order-api")
	later.says("removed +192.0.2.2:80")

	for _, p := range []*process{services, instances, later} {
		p.end(os.Interrupt)
		if p.log.String() == "" || strings.Contains(p.log.String(), "muster:") {
			t.Errorf("%v said %s, want no error", p.args, p.log)
		}
	}
	if n := strings.Count(services.log.String(), "added"); n != 1 {
		t.Errorf("order-api came %d times, want once:\n%s", n, services.log)
	}
	if strings.Contains(later.log.String(), "added    192.0.2.1:80") {
		t.Errorf("watch --new told what was there:\n%s", later.log)
	}
	for line := range strings.Lines(instances.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q is no JSON", line)
		}
	}
}

// says waits until the process has written what matches pattern.
func (p *process) says(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	p.await(strconv.Quote(pattern), func() bool { return re.MatchString(p.log.String()) })
}

// TestDrainIsInterrupted skips the wait of a drain, or ends it.
func TestDrainIsInterrupted(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	for _, c := range []struct {
		name    string
		signals []os.Signal
		code    int
		left    int // instances
	}{
		{"a second interrupt skips the wait", []os.Signal{os.Interrupt, os.Interrupt}, exitDone, 0},
		{"a demand to stop leaves it drained", []os.Signal{syscall.SIGTERM}, exitFailed, 1},
		{"also after an interrupt", []os.Signal{os.Interrupt, syscall.SIGTERM}, exitFailed, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code, out := command(t, "instance", "register", "order-api", "192.0.2.1:80", "--server", s.url()); code != exitDone {
				t.Fatalf("register = %d %s", code, out)
			}
			p := &process{t: t, args: []string{"instance", "drain", "order-api", "192.0.2.1:80", "--wait", "1h", "--deregister", "--server", s.url()}}
			p.start()
			p.says("waiting 1h0m0s until no answer is kept")
			for n, sig := range c.signals {
				if n > 0 {
					p.says("are left; another interrupt skips them")
				}
				_ = p.cmd.Process.Signal(sig) // what comes of it is seen below
			}
			select {
			case <-p.done:
			case <-time.After(time.Minute):
				p.kill()
			}
			if code := p.cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("drain ended with %d, want %d:\n%s", code, c.code, p.log)
			}
			list, err := fetch[api.InstanceList](s, "/v1/services/public/DEFAULT_GROUP/order-api/instances")
			if err != nil || len(list.Instances) != c.left {
				t.Fatalf("instances after the drain = %+v, %v, want %d", list.Instances, err, c.left)
			}
			for _, i := range list.Instances {
				if *i.Weight != 0 {
					t.Errorf("weight after the drain = %v, want 0", *i.Weight)
				}
			}
		})
	}
}
