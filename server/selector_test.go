package server_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server"
)

// What the labels of who asks choose is answered by DNS, and a new table of labels
// chooses anew.
func TestSelectorsAndTopologyByLabels(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "labels.csv")
	write := func(text string) {
		t.Helper()
		next := path + ".next" // put in place by a rename, as it is never half there
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	write("address,zone\n127.0.0.1,a\n127.0.0.2,b\n10.0.0.1,a\n10.0.0.2,b\n")
	s, _ := start(t, server.Config{Labels: server.Labels{File: path, Interval: time.Second}})
	c := dial(t, s)
	for _, name := range []string{"chosen", "near"} {
		for _, ip := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
			if _, err := c.Register(t.Context(), client.Name{Name: name}, api.Instance{Address: ip, Port: 80}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := server.SetSelector(t.Context(), s, registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "chosen"},
		"CONSUMER.label.zone = PROVIDER.label.zone"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutService(t.Context(), client.Name{Name: "near"}, api.ServiceSpec{DNS: &api.ServiceDNS{Topology: "pin"}}); err != nil {
		t.Fatal(err)
	}
	asked := func(name, from string) []string {
		t.Helper()
		u := &dns.Client{Dialer: &net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}}
		reply, _, err := u.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(name+".svc.muster.internal.", dns.TypeA), s.Addresses().DNS)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, rr := range reply.Answer {
			out = append(out, rr.(*dns.A).A.String())
		}
		slices.Sort(out)
		return out
	}
	all := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
	for _, c := range []struct {
		name, from string
		want       []string
	}{
		{"chosen", "127.0.0.1", all[:1]},
		{"chosen", "127.0.0.2", all[1:2]},
		{"chosen", "127.0.0.3", all}, // has no label
		{"near", "127.0.0.1", all[:1]},
		{"near", "127.0.0.2", all[1:2]},
		{"near", "127.0.0.3", all},
	} {
		if diff := cmp.Diff(c.want, asked(c.name, c.from)); diff != "" {
			t.Errorf("%s for %s (-want +got):\n%s", c.name, c.from, diff)
		}
	}
	for consumer, want := range map[string]int{"": 1, "127.0.0.2": 1, "127.0.0.3": 3} {
		status, body := get(t, base(s)+"/v1/services/public/DEFAULT_GROUP/chosen/instances?healthy=true&consumer="+consumer)
		var list api.InstanceList
		if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK || len(list.Instances) != want {
			t.Errorf("the list for %q = %d %s, want %d instances", consumer, status, body, want)
		}
	}
	if status, body := get(t, base(s)+"/v1/services/public/DEFAULT_GROUP/chosen/instances?healthy=true&consumer=me"); status != http.StatusUnprocessableEntity {
		t.Errorf("a consumer that is no address: %d %s, want 422", status, body)
	}
	e, err := c.Explain(t.Context(), client.ResolveQuery{Name: "chosen.svc", Type: "A", From: "127.0.0.2"})
	if err != nil || len(e.Instances) != 3 || e.Instances[0].Why != "other labels" || e.Instances[1].Why != "" {
		t.Errorf("Explain = %+v, %v, want the first left out for other labels", e, err)
	}

	write("address,zone\n127.0.0.1,a\n127.0.0.2,c\n10.0.0.3,c\n")
	for deadline := time.Now().Add(20 * time.Second); !slices.Equal(asked("chosen", "127.0.0.2"), all[2:]); {
		if time.Now().After(deadline) {
			t.Fatalf("after another table: %v, want %v", asked("chosen", "127.0.0.2"), all[2:])
		}
	}
	if got := asked("near", "127.0.0.2"); !slices.Equal(got, all[2:]) {
		t.Errorf("near after another table: %v, want %v", got, all[2:])
	}
}
