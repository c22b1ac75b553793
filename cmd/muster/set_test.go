package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
)

// fast are the timeouts of instances that a test waits for to be judged.
const (
	fastUnhealthy = time.Second
	fastRemoved   = 2 * time.Second
)

// timeouts is metadata that says when a silent instance is judged.
func timeouts(unhealthy, removed time.Duration) string {
	return fmt.Sprintf(`{"preserved.heart.beat.interval":"300","preserved.heart.beat.timeout":"%d","preserved.ip.delete.timeout":"%d"}`,
		unhealthy.Milliseconds(), removed.Milliseconds())
}

// beating are the parameters of an instance's registration and beats.
func beating(service, ip string, unhealthy, removed time.Duration) map[string]string {
	return map[string]string{"serviceName": service, "ip": ip, "port": "8080", "metadata": timeouts(unhealthy, removed)}
}

// register registers an instance that has to beat.
func (s *serverProcess) register(instance map[string]string) {
	s.t.Helper()
	s.write(values(instance))
}

// write registers an instance as clients do: whoever is told 503, because etcd
// elects or the machine is busy, asks again.
func (s *serverProcess) write(instance map[string][]string) {
	s.t.Helper()
	eventually(s.t, time.Minute, s.http+" takes an instance", func() bool {
		status, body, err := request(http.MethodPost, s.url()+pathInstance, instance)
		if err != nil || status != http.StatusOK && status != http.StatusServiceUnavailable {
			s.t.Fatalf("POST %s %v = %d %q, %v, want 200 or 503", pathInstance, instance, status, body, err)
		}
		return status == http.StatusOK
	})
}

func values(of map[string]string) (v map[string][]string) {
	v = make(map[string][]string)
	for name, value := range of {
		v[name] = []string{value}
	}
	return v
}

// persist registers an instance that lasts without beats.
func (s *serverProcess) persist(service, ip string) {
	s.t.Helper()
	s.write(persistent(service, ip))
}

func persistent(service, ip string) map[string][]string {
	return params("serviceName", service, "ip", ip, "port", "8080", "ephemeral", "false")
}

// throughout asks again and again, until the returned function is called, which
// fails the test with the first answer that was wrong.
func throughout(t *testing.T, every time.Duration, what string, check func() error) (end func()) {
	t.Helper()
	stop := make(chan struct{})
	var (
		asking sync.WaitGroup
		asked  int
		wrong  error
		after  time.Duration
	)
	began := time.Now()
	asking.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if wrong = check(); wrong != nil {
				after = time.Since(began)
				return
			}
			asked++
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	end = sync.OnceFunc(func() {
		close(stop)
		asking.Wait()
		if wrong != nil {
			t.Errorf("%s: at %s, after %v and %d good answers: %v", what, began.Add(after).UTC().Format("15:04:05.000"), after, asked, wrong)
		}
	})
	t.Cleanup(end)
	return end
}

// isAnswered returns what is wrong with a server's SRV answer for a service
// that is to be exactly that.
func isAnswered(server, service string, want ...string) error {
	at, err := located(server, service)
	if err == nil && !slices.Equal(at, want) {
		err = fmt.Errorf("SRV = %q, want %q", at, want)
	}
	return err
}

// isHealthy returns what is wrong with a server's list of a service that is to
// have one instance, a healthy one.
func isHealthy(url, service string) error {
	status, body, err := request(http.MethodGet, url+pathInstance+"/list", params("serviceName", service))
	if err != nil {
		return err
	}
	var list struct{ Hosts []host }
	if status != http.StatusOK || json.Unmarshal([]byte(body), &list) != nil {
		return fmt.Errorf("list of %s = %d %q", service, status, body)
	}
	if len(list.Hosts) != 1 || !list.Hosts[0].Healthy {
		return fmt.Errorf("list of %s = %+v, want one that is healthy", service, list.Hosts)
	}
	return nil
}

// isHeard sends a beat and returns what is wrong with the answer.
func isHeard(url string, instance map[string]string) error {
	v := params("serviceName", instance["serviceName"], "ip", instance["ip"], "port", instance["port"])
	status, body, err := request(http.MethodPut, url+pathInstance+"/beat", v)
	if err == nil && (status != http.StatusOK || !strings.Contains(body, `"code":10200`)) {
		err = fmt.Errorf("beat at %s = %d %q, want 200 with code 10200", url, status, body)
	}
	return err
}

// fetch decodes what a server answers at a path.
func fetch[T any](s *serverProcess, path string) (v T, err error) {
	code, body, err := request(http.MethodGet, s.url()+path, nil)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%s = %d %q", path, code, body)
	}
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal([]byte(body), &v)
}

// status is what a server says of itself.
func (s *serverProcess) status() (api.Status, error) { return fetch[api.Status](s, api.PathStatus) }

// judges reports whether the server says that it is the judge.
func (s *serverProcess) judges() bool {
	st, err := s.status()
	return err == nil && st.Judge
}

// judgeAmong waits until one of the servers judges, and returns it before the
// others.
func judgeAmong(t *testing.T, patience time.Duration, set []*serverProcess) (judge *serverProcess, others []*serverProcess) {
	t.Helper()
	eventually(t, patience, "one server judges", func() bool {
		judge, others = nil, nil
		n := 0
		for _, s := range set {
			if s.judges() {
				judge = s
				n++
			} else {
				others = append(others, s)
			}
		}
		return n == 1
	})
	return judge, others
}

// said is what `muster status -o json` says of a server and of all others.
func (s *serverProcess) said() statusOutput {
	s.t.Helper()
	code, out := command(s.t, "status", "--server", s.url(), "-o", "json")
	var all statusOutput
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != exitDone {
		s.t.Fatalf("muster status = %d %q, %v", code, out, err)
	}
	return all
}

// agree waits until all servers are ready, one judges and all show the same at
// one revision; `muster status` at each of them says so.
func agree(t *testing.T, set []*serverProcess) {
	t.Helper()
	for _, s := range set {
		eventually(t, time.Minute, s.http+" sees servers that agree", func() bool {
			st, err := s.status()
			list, listErr := fetch[api.ServerList](s, api.PathServers)
			return err == nil && listErr == nil && areOne(statusOutput{st, list.Servers}, len(set))
		})
	}
	for _, s := range set {
		if all := s.said(); !areOne(all, len(set)) {
			t.Errorf("muster status at %s = %+v, want %d servers that agree, one of them the judge", s.url(), all, len(set))
		}
	}
}

func areOne(all statusOutput, n int) bool {
	judges, selves := 0, 0
	for _, v := range all.Servers {
		if v.Judge {
			judges++
		}
		if v.Self {
			selves++
		}
		if !v.Reachable || !v.Ready || v.Stale || v.Revision != all.Revision || len(v.Digests) == 0 || digest(v, all.Servers) != "agrees" {
			return false
		}
	}
	return len(all.Servers) == n && judges == 1 && selves == 1
}
