package dns_test

import (
	"os"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
)

// A CoreDNS that is built as the plugin's manual says, and follows an etcd that a
// Muster server writes to, answers as that server does.
func TestStockCoreDNS(t *testing.T) {
	t.Parallel()
	program := os.Getenv(variableCoreDNS)
	if program == "" {
		t.Log("not run: it needs a CoreDNS, which may take minutes to build; MUSTER_STOCK=1 has it built, and CI always does")
		return
	}
	_, url := lab.StartEtcd(t, os.Getenv(variableEtcd))
	s := start(t, block(lab.Address(), lab.Port, ""), "--etcd", url)
	s.Put(named("order-api"), at("10.0.0.1", 8080))

	address := lab.Address()
	coredns := binary.Start(t, program, "-conf", lab.Write(t, "Corefile", block(address, lab.Port, "etcd "+url)))
	udp := lab.UDP(address + ":" + lab.Port)
	answers := func(service string, n int) func() bool {
		return func() bool {
			reply, err := udp.Ask(t.Context(), lab.Question(full(service+".svc"), dns.TypeA))
			return err == nil && len(reply.Answer) == n
		}
	}
	coredns.Await("answer for what was registered before it came", answers("order-api", 1))
	register(t, s)
	coredns.Await("answer for what is registered first", answers("order-api", 3))
	s.Put(named("latest"), at("10.0.11.1", 80))
	coredns.Await("answer for what is registered last", answers("latest", 1))
	for _, via := range []lab.Transport{udp, lab.TCP(address + ":" + lab.Port)} {
		t.Run(via.Name, func(t *testing.T) { accept(t, via) })
	}
	t.Run("weight 0 and back", func(t *testing.T) {
		s.Weight(named("order-api"), "10.0.0.1:8080", 0)
		coredns.Await("answer without what weighs nothing", answers("order-api", 2))
		s.Weight(named("order-api"), "10.0.0.1:8080", 1)
		coredns.Await("answer with it again", answers("order-api", 3))
	})
}
