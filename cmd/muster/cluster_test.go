package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
)

// cluster is servers whose embedded etcds are one.
type cluster struct {
	t         *testing.T
	authority *authority
	initial   string
	servers   []*serverProcess
}

// newCluster returns three servers that have not been started, called a, b and c.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, authority: newAuthority(t)}
	names := []string{"a", "b", "c"}
	peers := make([]string, len(names))
	for i, name := range names {
		peers[i] = freePeer(t)
		names[i] = name + "=" + peers[i]
	}
	c.initial = strings.Join(names, ",")
	for i, member := range names {
		name, _, _ := strings.Cut(member, "=")
		c.servers = append(c.servers, c.newMember(name, peers[i], c.initial))
	}
	return c
}

// newMember returns a server of the cluster that has not been started.
func (c *cluster) newMember(name, peer, initial string, args ...string) *serverProcess {
	c.t.Helper()
	cert, key := c.authority.issue(c.t, name)
	all := []string{"--name", name, "--peer", peer, "--initial-cluster", initial,
		"--peer-cert", cert, "--peer-key", key, "--peer-ca", c.authority.File}
	return newServer(c.t, filepath.Join(c.t.TempDir(), name), append(all, args...)...)
}

// start starts all servers and waits until they are ready.
func (c *cluster) start() {
	c.t.Helper()
	for _, s := range c.servers { // none is ready before a majority runs
		at := s.startAt(s.data)
		s.http, s.dns = at.HTTP, at.DNS
		c.t.Cleanup(s.kill) // each takes seconds to stop
	}
	for _, s := range c.servers {
		s.awaitReady()
	}
}

// freePeer returns an address that nobody listens at.
func freePeer(t *testing.T) string {
	t.Helper()
	return freeAddress(t)
}

// without returns the servers but one.
func (c *cluster) without(s *serverProcess) []*serverProcess {
	return slices.DeleteFunc(slices.Clone(c.servers), func(v *serverProcess) bool { return v == s })
}

// Three servers form a cluster that goes on through the end of the one that
// judges, of an etcd and of a machine that never comes back.
func TestClusterOfThree(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.start()
	c.servers[0].persist("order-api", "10.0.0.1")
	for _, s := range c.servers {
		eventually(t, time.Minute, s.dns+" answers what a took", func() bool { return isLocated(s.dns, "order-api", "0 1000 10.0.0.1:8080") })
	}
	agree(t, c.servers)
	c.judgeIsKilled(t)
	c.etcdIsKilled(t, c.servers[1])
	c.memberErrors(t)
	c.memberIsReplaced(t)
	c.majorityIsKilled(t)
}

// majorityIsKilled kills all servers but the last, which goes on answering
// documents whose contents it has never read before.
func (c *cluster) majorityIsKilled(t *testing.T) {
	t.Helper()
	last := c.servers[len(c.servers)-1]
	c.servers[0].publish("unread.yaml", "port: 1")
	agree(t, c.servers)
	for _, s := range c.without(last) {
		s.kill()
	}
	eventually(t, time.Minute, "writes are refused without a majority", func() bool {
		status, _, err := request(http.MethodPost, last.url()+pathInstance, persistent("alone", "10.0.0.7"))
		return err == nil && status == http.StatusServiceUnavailable
	})
	if got := last.document("unread.yaml"); got != "port: 1" {
		t.Errorf("document without a majority = %q, want what was published", got)
	}
}

// judgeIsKilled kills the judge: the others do not fail anybody, one of them
// judges, and when the killed one is back it shows nothing that is older.
func (c *cluster) judgeIsKilled(t *testing.T) {
	t.Helper()
	judge, others := judgeAmong(t, time.Minute, c.servers)
	steady := stays(t, others[0], others, "steady", "10.0.0.2")
	defer steady()
	child := childOf(t, judge)
	judge.kill()
	killed := time.Now()
	eventually(t, time.Minute, "the etcd of a server that was killed has ended", func() bool { return !runs(child) })
	for _, s := range others {
		eventually(t, time.Minute, "writes are taken with two of three", func() bool {
			status, _, err := request(http.MethodPost, s.url()+pathInstance, persistent("written", "10.0.0.3"))
			return err == nil && status == http.StatusOK
		})
	}
	t.Logf("writes at the others %v after the end of the judge", time.Since(killed))
	judgeAmong(t, leaseTime+promptly(leaseMargin), others)
	t.Logf("another server judges %v after the end of the judge", time.Since(killed))

	others[0].publish("app.yaml", "version: 1")
	known, err := others[0].status()
	if err != nil {
		t.Fatal(err)
	}
	dnsAt, url := judge.dns, judge.url()
	ends := []func(){
		throughout(t, time.Millisecond, "DNS of a server that starts", func() error { return notLess(dnsAt, "written") }),
		throughout(t, time.Millisecond, "lists of a server that starts", func() error { return notOlder(url, "written", known.Revision) }),
	}
	judge.start()
	for _, end := range ends {
		end()
	}
	if got := judge.document("app.yaml"); got != "version: 1" {
		t.Errorf("document at the server that is back = %q, want what was published meanwhile", got)
	}
	agree(t, c.servers)
}

// notLess returns what is wrong with the DNS answer of a server that starts: it
// may answer nothing, or that it failed, but not that there is less.
func notLess(server, service string) error {
	m := new(dns.Msg).SetQuestion(service+zone, dns.TypeA)
	reply, _, err := (&dns.Client{Timeout: 500 * time.Millisecond}).Exchange(m, server)
	if err != nil || reply.Rcode == dns.RcodeServerFailure {
		return nil //nolint:nilerr // it does not listen yet
	}
	if reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != 1 {
		return fmt.Errorf("A = %s with %d addresses, want one", dns.RcodeToString[reply.Rcode], len(reply.Answer))
	}
	return nil
}

// notOlder returns what is wrong with the lists of a server that starts.
func notOlder(url, service string, revision int64) error {
	path := strings.NewReplacer("{namespace}", "public", "{group}", "DEFAULT_GROUP", "{service}", service).Replace(api.PathInstances)
	status, body, err := request(http.MethodGet, url+path, nil)
	if err == nil && status != http.StatusServiceUnavailable {
		var list api.InstanceList
		if status != http.StatusOK || json.Unmarshal([]byte(body), &list) != nil || len(list.Instances) != 1 || list.Revision < revision {
			return fmt.Errorf("list = %d %q, want one instance at revision %d or later", status, body, revision)
		}
	}
	status, body, err = request(http.MethodGet, url+pathInstance+"/list", params("serviceName", service))
	if err == nil && status != http.StatusServiceUnavailable && (status != http.StatusOK || !strings.Contains(body, `"ip":"10.0.0.3"`)) {
		return fmt.Errorf("list of Nacos = %d %q, want one instance", status, body)
	}
	return nil
}

// etcdIsKilled kills the etcd below a server, which goes on without it and then
// with it again.
func (c *cluster) etcdIsKilled(t *testing.T, s *serverProcess) {
	t.Helper()
	end := throughout(t, 5*time.Millisecond, "DNS without etcd", func() error { return isAnswered(s.dns, "order-api", "0 1000 10.0.0.1:8080") })
	child := childOf(t, s)
	if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	wasRefused := false
	eventually(t, time.Minute, "writes are taken again", func() bool {
		status, body, err := request(http.MethodPost, s.url()+pathInstance, persistent("after", "10.0.0.4"))
		if err != nil || status != http.StatusOK && (status != http.StatusServiceUnavailable || !strings.Contains(body, "etcd")) {
			t.Errorf("write without etcd = %d %q, %v, want 503 that names etcd", status, body, err)
		}
		wasRefused = wasRefused || status == http.StatusServiceUnavailable
		return err == nil && status == http.StatusOK
	})
	t.Logf("writes are taken %v after the end of etcd", time.Since(killed))
	if !wasRefused {
		t.Error("no write was refused although etcd was dead")
	}
	if now := childOf(t, s); now == child {
		t.Errorf("etcd is process %d as before", now)
	}
	end()
	agree(t, c.servers)
}

// childOf waits until a server has a child, its etcd, and returns its process id.
func childOf(t *testing.T, s *serverProcess) (pid int) {
	t.Helper()
	parent := fmt.Sprint(s.cmd.Process.Pid)
	eventually(t, time.Minute, "the server has a child", func() bool {
		stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
		for _, path := range stats {
			state, itsParent := stat(path)
			if itsParent == parent && state != zombie {
				var err error
				pid, err = strconv.Atoi(filepath.Base(filepath.Dir(path)))
				return err == nil
			}
		}
		return false
	})
	return pid
}

// zombie is the state of a process that has ended, but for its entry.
const zombie = "Z"

// stat returns the state of a process and the id of its parent, empty when it
// has ended.
func stat(path string) (state, parent string) {
	b, _ := os.ReadFile(path)
	_, rest, _ := strings.Cut(string(b), ") ") // after its name in parentheses
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return "", ""
	}
	return fields[0], fields[1]
}

// runs reports whether there is a process of that id.
func runs(pid int) bool {
	state, _ := stat(fmt.Sprintf("/proc/%d/stat", pid))
	return state != "" && state != zombie
}
