package contest

import (
	"fmt"
	"os/exec"
	"regexp"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

func startEcho(tb testing.TB, n Needs, _ int) *Contestant {
	tb.Helper()
	c := &Contestant{Name: "echo", Version: "this tree's", Address: loopback(freePort(tb)), Names: Ours, Mute: true}
	c.process = binary.Start(tb, n.Echo, fmt.Sprint(c.Address.Port()))
	c.await(tb)
	return c
}

const nsdConf = `server:
    server-count: %[1]d
    ip-address: 127.0.0.1@%[2]d
    reuseport: yes
    round-robin: yes
    rrl-ratelimit: 0
    username: ""
    zonesdir: "%[3]s"
    database: ""
    pidfile: "%[3]s/nsd.pid"
    logfile: "%[3]s/nsd.log"
    xfrdfile: "%[3]s/xfrd.state"
    xfrdir: "%[3]s"
    zonelistfile: "%[3]s/zone.list"
remote-control:
    control-enable: no
zone:
    name: "%[4]s"
    zonefile: "zone"
`

func startNSD(tb testing.TB, n Needs, processors int) *Contestant {
	tb.Helper()
	dir := tb.TempDir()
	write(tb, dir, "zone", ZoneFile())
	c := &Contestant{Name: "nsd", Version: version(tb, `NSD version (\S+)`, n.NSD, "-v"), Address: loopback(freePort(tb)), Names: Ours}
	c.process = binary.Start(tb, n.NSD, "-d", "-c", write(tb, dir, "nsd.conf", fmt.Sprintf(nsdConf, processors, c.Address.Port(), dir, Zone)))
	c.await(tb)
	return c
}

const knotConf = `server:
    rundir: "%[3]s"
    listen: 127.0.0.1@%[2]d
    udp-workers: %[1]d
    tcp-workers: 1
    background-workers: 1
    answer-rotation: on
database:
    storage: "%[3]s"
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: "%[3]s"
    journal-content: none
    zonefile-sync: -1
zone:
  - domain: %[4]s
    file: zone
`

func startKnot(tb testing.TB, n Needs, processors int) *Contestant {
	tb.Helper()
	dir := tb.TempDir()
	write(tb, dir, "zone", ZoneFile())
	c := &Contestant{Name: "knot", Version: version(tb, `version (\S+)`, n.Knot, "--version"), Address: loopback(freePort(tb)), Names: Ours}
	c.process = binary.Start(tb, n.Knot, "-c", write(tb, dir, "knot.conf", fmt.Sprintf(knotConf, processors, c.Address.Port(), dir, Zone)))
	c.await(tb)
	return c
}

// version returns what a program says of itself.
func version(tb testing.TB, pattern, program string, args ...string) string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), program, args...).CombinedOutput()
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		tb.Fatalf("version of %s: %v\n%s", program, err, out)
	}
	return string(m[1])
}
