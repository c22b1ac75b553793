package lab

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/musterhq/muster/test/binary"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/internal/peer"
)

// Zones are those that resolvers here ask Muster for.
var Zones = []string{"muster.internal", "10.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"}

// A ResolverKind is a caching resolver of some make.
type ResolverKind struct {
	Name string
	// Namespaces is whether it needs a network of its own, where Muster listens at port
	// 53 too.
	Namespaces bool

	program string
	// start starts it to ask the server at the IP address upstream for the zones.
	start func(tb testing.TB, program, upstream string) (p *binary.Process, address string)
}

// Resolvers are those that Muster has to get on with.
var Resolvers = []ResolverKind{
	{Name: "unbound", program: "unbound", start: startUnbound},
	{Name: "dnsmasq", program: "dnsmasq", start: startDnsmasq},
	{Name: "bind9", program: "named", start: named("type forward; forward only; forwarders { %s port " + Port + "; };")},
	// It asks as a resolver asks an authority, and is told no port.
	{Name: "bind9-static-stub", Namespaces: true, program: "named", start: named("type static-stub; server-addresses { %s; };")},
	{Name: SystemdResolved, Namespaces: true, program: "/lib/systemd/systemd-resolved", start: startResolved},
}

// Start starts the resolver in front of the server at the IP address upstream, and
// returns the address where it answers.
func (k ResolverKind) Start(tb testing.TB, upstream string) (address string) {
	tb.Helper()
	p, address := k.start(tb, peer.Path(tb, k.program), upstream)
	via := UDP(address)
	p.Await("answer", func() bool {
		reply, err := via.Ask(tb.Context(), Question(Zones[0]+".", dns.TypeSOA))
		return err == nil && reply.Rcode == dns.RcodeSuccess
	})
	return address
}

// unbound asks with the letters of names in random case, and takes only answers that
// repeat them.
const unboundConf = `server:
  interface: %[1]s@%[2]s
  directory: "%[3]s"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  do-not-query-localhost: no
  module-config: "iterator"
  root-hints: ""
  use-caps-for-id: yes
  private-domain: "muster.internal."
remote-control:
  control-enable: no
`

func startUnbound(tb testing.TB, program, upstream string) (*binary.Process, string) {
	tb.Helper()
	address := Address()
	var conf strings.Builder
	fmt.Fprintf(&conf, unboundConf, address, Port, tb.TempDir())
	for _, zone := range Zones {
		// It would answer for the reverse zones of private addresses itself.
		fmt.Fprintf(&conf, "server:\n  domain-insecure: %[1]q\n  local-zone: \"%[1]s.\" nodefault\n"+
			"stub-zone:\n  name: \"%[1]s.\"\n  stub-addr: %[2]s@%[3]s\n", zone, upstream, Port)
	}
	return binary.Start(tb, program, "-d", "-c", Write(tb, "unbound.conf", conf.String())), address + ":" + Port
}

func startDnsmasq(tb testing.TB, program, upstream string) (*binary.Process, string) {
	tb.Helper()
	address := Address()
	// --no-daemon keeps it from becoming another user, which only root may.
	args := []string{"--no-daemon", "--conf-file=" + Write(tb, "dnsmasq.conf", ""), "--port=" + Port, "--listen-address=" + address,
		"--bind-interfaces", "--no-resolv", "--no-hosts", "--cache-size=2000", "--pid-file"}
	for _, zone := range Zones {
		args = append(args, fmt.Sprintf("--server=/%s/%s#%s", zone, upstream, Port))
	}
	return binary.Start(tb, program, args...), address + ":" + Port
}

// named listens only at addresses that an interface has.
const namedConf = `options {
  directory "%[2]s";
  pid-file none;
  session-keyfile none;
  listen-on port %[1]d { 127.0.0.1; };
  listen-on-v6 { none; };
  allow-query { any; };
  dnssec-validation no;
  empty-zones-enable no;
};
controls { };
`

// named returns what starts named, with those words about each zone.
func named(words string) func(testing.TB, string, string) (*binary.Process, string) {
	return func(tb testing.TB, program, upstream string) (*binary.Process, string) {
		tb.Helper()
		port := freePort(tb)
		var conf strings.Builder
		fmt.Fprintf(&conf, namedConf, port, tb.TempDir())
		for _, zone := range Zones {
			fmt.Fprintf(&conf, "zone %q { "+words+" };\n", zone, upstream)
		}
		return binary.Start(tb, program, "-g", "-n", "1", "-c", Write(tb, "named.conf", conf.String())), fmt.Sprintf("127.0.0.1:%d", port)
	}
}

// freePort returns a port that nobody uses at 127.0.0.1.
func freePort(tb testing.TB) int {
	tb.Helper()
	c, err := (&net.ListenConfig{}).ListenPacket(tb.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}
