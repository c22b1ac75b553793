package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
)

// startTwo returns two running servers over one etcd, the one that judges first.
func startTwo(t *testing.T, etcd *etcdProcess) (judge, other *serverProcess) {
	t.Helper()
	set := []*serverProcess{newServer(t, t.TempDir(), "--etcd", etcd.url), newServer(t, t.TempDir(), "--etcd", etcd.url)}
	for _, s := range set {
		s.start()
		t.Cleanup(s.stop)
	}
	judge, others := judgeAmong(t, time.Minute, set)
	return judge, others[0]
}

// Two servers over one etcd answer and hear everything, through the end of the
// one that judges and through that of etcd.
func TestTwoServersOverOneEtcd(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	judge, other := startTwo(t, etcd)
	steady := stays(t, other, []*serverProcess{judge, other}, "steady", "10.0.0.1")
	silentIsRemoved(t, judge, other)
	agree(t, []*serverProcess{judge, other})
	steady()

	// From here on the judge does not answer, but must have removed nobody.
	steady = stays(t, other, []*serverProcess{other}, "steady", "10.0.0.1")
	judge.kill()
	killed := time.Now()
	eventually(t, leaseTime+promptly(leaseMargin), "the other server judges", other.judges)
	t.Logf("the other server judges %v after the end of the first", time.Since(killed))
	judge.start()
	judge, other = other, judge
	agree(t, []*serverProcess{judge, other})

	// Now the other one is the one that was killed.
	second := stays(t, other, []*serverProcess{judge, other}, "second", "10.0.0.2")
	etcdIsAway(t, etcd, judge, other)
	agree(t, []*serverProcess{judge, other})
	second()
	steady()
}

const (
	// leaseTime is how long a server that was killed keeps its office.
	leaseTime = 10 * time.Second
	// leaseMargin is how long another one needs to take it, if the machine has nothing
	// else to do.
	leaseMargin = 5 * time.Second
)

// stays registers an instance and beats for it at one server, until the returned
// function is called. All that time it must be healthy at the others.
func stays(t *testing.T, at *serverProcess, set []*serverProcess, service, ip string) (end func()) {
	t.Helper()
	instance := beating(service, ip, unhealthyAfter, removedAfter)
	at.register(instance)
	var ends []func()
	want := fmt.Sprintf("0 1000 %s:8080", ip)
	for _, s := range set {
		eventually(t, time.Minute, s.dns+" answers "+service, func() bool { return isLocated(s.dns, service, want) })
		ends = append(ends, throughout(t, 50*time.Millisecond, service+" at "+s.dns, func() error {
			if err := isAnswered(s.dns, service, want); err != nil {
				return err
			}
			return isHealthy(s.url(), service)
		}))
	}
	ends = append(ends, throughout(t, 300*time.Millisecond, "beats of "+service, func() error { return isHeard(at.url(), instance) }))
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// silentIsRemoved registers an instance that never beats at the server that does
// not judge.
func silentIsRemoved(t *testing.T, judge, other *serverProcess) {
	t.Helper()
	began := time.Now()
	other.register(beating("silent", "10.0.0.9", fastUnhealthy, fastRemoved))
	for _, s := range []*serverProcess{other, judge} {
		during(t, began, fastRemoved, fastRemoved, "removed at "+s.http, func() bool { return len(s.hosts("silent")) == 0 })
	}
}

// etcdIsAway ends etcd for some seconds.
func etcdIsAway(t *testing.T, etcd *etcdProcess, judge, other *serverProcess) {
	t.Helper()
	set := []*serverProcess{judge, other}
	const unhealthy, removed = 5 * time.Second, 6 * time.Second
	late := beating("late", "10.0.0.8", unhealthy, removed)
	other.register(late)
	silent := throughout(t, 300*time.Millisecond, "beats of late", func() error { return isHeard(other.url(), late) })
	for _, s := range set {
		eventually(t, time.Minute, "late is at "+s.http, func() bool { return isLocated(s.dns, "late", "0 1000 10.0.0.8:8080") })
		eventually(t, time.Minute, "a young answer of "+s.http, func() bool { return ageOf(t, s, "late") < 2*time.Second })
	}
	etcd.kill()
	killed := time.Now()
	silent()
	for _, s := range set {
		writesAreRefused(t, s, killed)
	}
	for _, s := range set {
		eventually(t, time.Minute, "answers say that they may be old", func() bool {
			reply, err := exchange(s.dns, "late"+zone, dns.TypeA)
			return err == nil && len(reply.Answer) == 1 && reply.Answer[0].Header().Ttl <= 30 && hasError(reply, dns.ExtendedErrorCodeStaleAnswer)
		})
		if known := time.Since(killed); ageOf(t, s, "late") < known {
			t.Errorf("the age at %s is less than %v, for which etcd has been dead", s.http, known)
		}
	}
	// Longer than any of its timeouts.
	if poll(time.Until(killed.Add(removedAfter+time.Second)), func() bool { return isHealthy(other.url(), "late") != nil }, nil) {
		t.Errorf("while etcd was dead: %v", isHealthy(other.url(), "late"))
	}
	back := time.Now()
	etcd.start()
	during(t, back, removed, removed+leaseTime, "removed after etcd's return", func() bool { return len(judge.hosts("late")) == 0 })
	for _, s := range set {
		eventually(t, time.Minute, "a young answer of "+s.http, func() bool { return ageOf(t, s, "steady") < 2*time.Second })
		eventually(t, time.Minute, "writes are taken again", func() bool {
			status, _, err := request(http.MethodPost, s.url()+pathInstance, persistent("refused", "10.0.1.1"))
			return err == nil && status == http.StatusOK
		})
	}
}

// writesAreRefused writes again and again after etcd's death.
func writesAreRefused(t *testing.T, s *serverProcess, killed time.Time) {
	t.Helper()
	for n := 0; ; n++ {
		began := time.Now()
		status, body, err := request(http.MethodPost, s.url()+pathInstance, persistent("refused", "10.0.1.1"))
		if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "etcd") {
			t.Fatalf("write at %s %v after etcd's death = %d %q, %v, want 503 that names etcd", s.http, began.Sub(killed), status, body, err)
		}
		if took, most := time.Since(killed), promptly(2500*time.Millisecond); n == 0 && took > most {
			t.Errorf("the first write at %s was refused %v after etcd's death, want at most %v", s.http, took, most)
		}
		if n == 0 {
			t.Logf("%v after etcd's death: %s", time.Since(killed), body)
			continue
		}
		if took := time.Since(began); took < 100*time.Millisecond && n >= 10 {
			return
		} else if took > promptly(time.Second) {
			t.Errorf("write %d at %s was refused after %v, want at once", n, s.http, took)
		}
		if n == 100 {
			t.Fatalf("no write at %s is refused within 100 ms", s.http)
		}
	}
}

// ageOf returns the age that a server publishes with its list of a service.
func ageOf(t *testing.T, s *serverProcess, service string) time.Duration {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+pathInstance+"/list?serviceName="+service, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := caller.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	seconds, err := strconv.ParseFloat(resp.Header.Get(api.HeaderAge), 64)
	if err != nil {
		t.Fatalf("%s = %q: %v", api.HeaderAge, resp.Header.Get(api.HeaderAge), err)
	}
	return time.Duration(seconds * float64(time.Second))
}

func TestMembersOfAnExternalEtcd(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir(), "--etcd", startEtcd(t).url)
	s.start()
	t.Cleanup(s.stop)
	for _, args := range [][]string{{"list"}, {"add", "b", "127.0.0.1:2380"}, {"remove", "b"}} {
		code, out := command(t, slices.Concat([]string{"member"}, args, []string{"--server", s.url()})...)
		if code != exitConflict || !strings.Contains(out, "etcd is not embedded") {
			t.Errorf("muster member %v = %d %q, want %d and that etcd is not embedded", args, code, out, exitConflict)
		}
	}
}
