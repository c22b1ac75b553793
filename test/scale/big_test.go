package scale_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
)

func nothing(reply *dns.Msg) bool { return reply.Rcode == dns.RcodeNameError }

// TestOneLargeService has one service with all the instances there are.
func TestOneLargeService(t *testing.T) {
	w := newWorld(t)
	w.start("nobody.svc.muster.internal.", nothing)
	args := append([]string{"register", "--persistent", "--keep", "--duration", "30m"}, roster(1, *big)...)
	if *big > 2000 { // checks of persistent instances that are not there would keep the server busy
		args = append([]string{"agents", "--keep", "--agents", "50", "--clients", "8", "--duration", "1s"}, roster(1, *big)...)
	}
	w.bench(args...)
	const name = "bench-000000"
	reply, err := w.ask(name+".svc.muster.internal.", dns.TypeA)
	if err != nil || !addresses(reply) {
		t.Fatalf("A of %s = %v, %v, want addresses", name, reply, err)
	}
	w.bench("list", "--made", "--services", "1", "--clients", "2", "--rate", "2", "--duration", "2s")
	remote, err := client.New([]string{"http://" + w.http}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	service := client.Name{Namespace: "public", Group: "DEFAULT_GROUP", Name: name}
	list, err := remote.Instances(t.Context(), service, client.InstanceQuery{})
	if err != nil || list.Total != *big {
		t.Fatalf("Instances() = %d in all, %v, want %d", list.Total, err, *big)
	}
	var came, went []time.Duration
	for n := range 20 {
		added := api.Instance{Address: "192.0.2." + strconv.Itoa(n+1), Port: 8080, Ephemeral: list.Service.Ephemeral}
		endpoint := client.Endpoint(added.Address, added.Port)
		began := time.Now()
		got, err := remote.Register(t.Context(), service, added)
		if err != nil {
			t.Fatal(err)
		}
		own := got.DNSName + ".muster.internal."
		w.until(own, addresses)
		came = append(came, time.Since(began))
		began = time.Now()
		if err := remote.Deregister(t.Context(), service, endpoint); err != nil {
			t.Fatal(err)
		}
		w.until(own, func(reply *dns.Msg) bool { return !addresses(reply) })
		went = append(went, time.Since(began))
	}
	slices.Sort(came)
	slices.Sort(went)
	w.say("one more instance of %d, from the call to DNS: median %s, longest %s", *big, came[len(came)/2], came[len(came)-1])
	w.say("one less instance of %d, from the call to DNS: median %s, longest %s", *big, went[len(went)/2], went[len(went)-1])
	w.memory("with one large service", *big)
}

// until asks until the answer is right.
func (w *world) until(name string, right func(*dns.Msg) bool) {
	w.t.Helper()
	if !binary.Poll(time.Minute, func() bool {
		reply, err := w.ask(name, dns.TypeA)
		return err == nil && right(reply)
	}, nil) {
		w.t.Fatalf("no right answer for %s within a minute", name)
	}
}
