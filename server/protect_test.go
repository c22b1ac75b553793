package server_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

// What Nacos answers at a threshold of 0 is answered at every door, or at none.
func TestProtectAtZeroAtEveryDoor(t *testing.T) {
	for at0, want := range map[bool]int{false: 0, true: 2} {
		s, _ := start(t, server.Config{ProtectAtZero: at0})
		c := dial(t, s)
		n := client.Name{Name: "sick"}
		for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
			if _, err := c.Register(t.Context(), n, api.Instance{Address: ip, Port: 80, Cluster: "bj", Healthy: new(false)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, q := range []client.InstanceQuery{{Healthy: true}, {Healthy: true, Cluster: "bj"}} {
			if list, err := c.Instances(t.Context(), n, q); err != nil || len(list.Instances) != want || list.Protected != (want > 0) {
				t.Errorf("%t: Instances(%+v) = %d, protected %t, %v; want %d", at0, q, len(list.Instances), list.Protected, err, want)
			}
		}
		for _, query := range []string{"", "&clusters=bj"} {
			var list struct {
				Hosts                    []struct{ Healthy bool }
				ReachProtectionThreshold bool
			}
			_, body := get(t, base(s)+"/nacos/v1/ns/instance/list?serviceName=sick&healthyOnly=true"+query)
			if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Hosts) != want || list.ReachProtectionThreshold != (want > 0) {
				t.Errorf("%t: Nacos list%s = %s, %v; want %d hosts", at0, query, body, err, want)
			}
		}
		for _, owner := range []string{"sick.svc.muster.internal.", "sick.svc.bj.cl.muster.internal."} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV} {
				reply, err := dns.Exchange(new(dns.Msg).SetQuestion(owner, qtype), s.Addresses().DNS)
				if err != nil || reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != want {
					t.Errorf("%t: %s %s = %v, %v; want %d answers", at0, owner, dns.TypeToString[qtype], reply, err, want)
				}
			}
		}
		e, err := c.Explain(t.Context(), client.ResolveQuery{Name: "sick.svc", Type: "A"})
		if err != nil || e.Health == nil || e.Health.Protected != (want > 0) {
			t.Errorf("%t: Explain = %+v, %v; want protected %t", at0, e, err, want > 0)
		}
	}
}

// With six of ten down a threshold of one half holds, with four it does not, at
// every door.
func TestProtectThresholdAtEveryDoor(t *testing.T) {
	s, _ := start(t, server.Config{})
	c := dial(t, s)
	for down, want := range map[int]int{6: 10, 4: 6} {
		n := client.Name{Name: fmt.Sprint("half-", down)}
		if _, err := c.PutService(t.Context(), n, api.ServiceSpec{ProtectThreshold: 0.5}); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if _, err := c.Register(t.Context(), n, api.Instance{Address: fmt.Sprint("192.0.2.", i+1), Port: 80, Healthy: new(i >= down)}); err != nil {
				t.Fatal(err)
			}
		}
		protected := want == 10
		list, err := c.Instances(t.Context(), n, client.InstanceQuery{Healthy: true})
		if err != nil || len(list.Instances) != want || list.Protected != protected {
			t.Errorf("%d down: Instances = %d, protected %t, %v; want %d", down, len(list.Instances), list.Protected, err, want)
		}
		var nacos struct {
			Hosts                    []struct{ Healthy bool }
			ReachProtectionThreshold bool
		}
		_, body := get(t, base(s)+"/nacos/v1/ns/instance/list?healthyOnly=true&serviceName="+n.Name)
		if err := json.Unmarshal([]byte(body), &nacos); err != nil || len(nacos.Hosts) != want || nacos.ReachProtectionThreshold != protected {
			t.Errorf("%d down: Nacos list = %s, %v; want %d hosts", down, body, err, want)
		}
		for _, h := range nacos.Hosts {
			if !h.Healthy {
				t.Errorf("%d down: the list has an unhealthy host: %s", down, body)
			}
		}
		for qtype, want := range map[uint16]int{dns.TypeA: min(want, 8), dns.TypeSRV: want} { // addresses are answered up to a limit
			m := new(dns.Msg).SetQuestion(n.Name+".svc.muster.internal.", qtype).SetEdns0(1232, false)
			reply, err := dns.Exchange(m, s.Addresses().DNS)
			if err != nil || reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != want {
				t.Errorf("%d down: %s = %v, %v; want %d answers", down, dns.TypeToString[qtype], reply, err, want)
			}
		}
	}
}
