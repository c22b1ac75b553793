package lab

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"github.com/musterhq/muster/test/binary"

	"github.com/musterhq/muster/internal/peer"
)

// SystemdResolved is the resolver of systemd. It needs a network and a /run of its own,
// in which it is what the whole system asks.
const SystemdResolved = "systemd-resolved"

// busConf is a system bus on which everybody may do everything.
const busConf = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
`

// startResolved starts systemd-resolved without systemd: with a bus, and the folders
// that systemd would make. It needs [Uplink] too. It would not keep what comes from a
// loopback address.
func startResolved(tb testing.TB, program, upstream string) (*binary.Process, string) {
	tb.Helper()
	const folder = "/run/systemd/resolve"
	for _, dir := range []string{"/run/dbus", "/run/systemd/netif/links", folder} {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // as systemd makes them
			tb.Fatal(err)
		}
	}
	owner, err := user.Lookup("systemd-resolve")
	if err != nil {
		tb.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid) // they are numbers here
	gid, _ := strconv.Atoi(owner.Gid)
	if err := os.Chown(folder, uid, gid); err != nil {
		tb.Fatalf("give %s to %s, which takes root: %v", folder, owner.Username, err)
	}
	etc := NewEtc(tb, map[string]string{"systemd/resolved.conf": fmt.Sprintf(
		"[Resolve]\nCacheFromLocalhost=yes\nDNS=%s:%s\nDomains=~%s\nFallbackDNS=\nDNSSEC=no\nLLMNR=no\nMulticastDNS=no\n", upstream, Port, strings.Join(Zones, " ~"))})
	bus := binary.Start(tb, peer.Path(tb, "dbus-daemon"), "--nofork", "--nopidfile", "--config-file="+Write(tb, "bus.conf", busConf))
	bus.Await("socket", func() bool {
		_, err := os.Stat("/run/dbus/system_bus_socket")
		return err == nil
	})
	return etc.Start(program), "127.0.0.53:53"
}
