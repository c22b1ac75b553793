package plugin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/tsig" // signs and checks
	"github.com/miekg/dns"

	muster "github.com/musterhq/muster/plugin"
	"github.com/musterhq/muster/registry"
)

// The secrets of keys that may and may not.
var secrets = map[string]string{
	"may.": "c2VjcmV0IHRoYXQgbWF5IHVwZGF0ZQ==", "other.": "c2VjcmV0IHRoYXQgbWF5IG5vdA==",
}

const (
	tsigBlock = "tsig . {\nsecret may. c2VjcmV0IHRoYXQgbWF5IHVwZGF0ZQ==\nsecret other. c2VjcmV0IHRoYXQgbWF5IG5vdA==\nrequire none\nrequire_opcode none\n}"
	mayUpdate = "muster muster.internal 10.in-addr.arpa {\nupdate MAY\nlease 10 600\n}"
)

// signed sets up the plugin behind tsig, and returns its configuration.
func signed(t *testing.T, text string, s muster.Source) (*dnsserver.Config, error) {
	t.Helper()
	c := caddy.NewTestController("dns", tsigBlock)
	c.Set(muster.StorageKey, s)
	for _, block := range []struct{ directive, text string }{{"tsig", tsigBlock}, {"muster", text}} {
		setup, err := caddy.DirectiveAction("dns", block.directive)
		if err != nil {
			t.Fatal(err)
		}
		c.Dispenser = caddyfile.NewDispenser("Testfile", strings.NewReader(block.text))
		if err := setup(c); err != nil {
			return nil, err
		}
	}
	cfg := dnsserver.GetConfig(c)
	cfg.Zone = "."
	return cfg, nil
}

// listen serves at addresses of its own, over UDP and TCP.
func listen(t *testing.T, text string, s muster.Source) map[string]string {
	t.Helper()
	cfg, err := signed(t, text, s)
	if err != nil {
		t.Fatal(err)
	}
	server, err := dnsserver.NewServer("dns://127.0.0.1:0", []*dnsserver.Config{cfg})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := server.Listen()
	if err != nil {
		t.Fatal(err)
	}
	udp, err := server.ListenPacket()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(tcp) }()
	go func() { ended <- server.ServePacket(udp) }()
	at := map[string]string{"udp": udp.LocalAddr().String(), "tcp": tcp.Addr().String()}
	for network, addr := range at { // a server that does not serve yet cannot be stopped
		until(t, network+" is served", func() bool {
			_, _, err := (&dns.Client{Net: network, Timeout: time.Second}).ExchangeContext(t.Context(), ask("muster.internal.", "SOA"), addr)
			return err == nil
		})
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	return at
}

// add returns an update of the zone that adds records.
func add(t *testing.T, zone string, records ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetUpdate(zone)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Insert([]dns.RR{rr})
	}
	return m
}

// leased gives m the Update Lease option.
func leased(m *dns.Msg, seconds uint32) *dns.Msg {
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_UL{Code: dns.EDNS0UL, Lease: seconds})
	return m
}

func TestUpdate(t *testing.T) {
	const record = "new.svc.muster.internal. 60 IN SRV 0 3000 8080 ip-10-0-0-9.addr.muster.internal."
	newcomer := registry.InstanceKey{Service: key("new"), Endpoint: registry.Endpoint{Host: "10.0.0.9", Port: 8080}}
	tests := []struct {
		about, block string
		m            *dns.Msg
		key          string // empty: not signed
		secret       string // empty: the right one
		rcode        int
		registered   bool
		lease        uint32
	}{
		{"signed", mayUpdate, add(t, "muster.internal.", record), "may.", "", dns.RcodeSuccess, true, 0},
		{"with a lease", mayUpdate, leased(add(t, "muster.internal.", record), 60), "may.", "", dns.RcodeSuccess, true, 60},
		{"with a lease too short", mayUpdate, leased(add(t, "muster.internal.", record), 1), "may.", "", dns.RcodeSuccess, true, 10},
		{"not signed", mayUpdate, add(t, "muster.internal.", record), "", "", dns.RcodeRefused, false, 0},
		{"signed with another key", mayUpdate, add(t, "muster.internal.", record), "other.", "", dns.RcodeRefused, false, 0},
		{"signed with an unknown key", mayUpdate, add(t, "muster.internal.", record), "nobody.", "c2VjcmV0", dns.RcodeNotAuth, false, 0},
		{"signed with a wrong secret", mayUpdate, add(t, "muster.internal.", record), "may.", "c2VjcmV0", dns.RcodeNotAuth, false, 0},
		{"of another zone", mayUpdate, add(t, "example.org.", record), "may.", "", dns.RcodeNotAuth, false, 0},
		{"of a reverse zone", mayUpdate, add(t, "10.in-addr.arpa.", "9.0.0.10.in-addr.arpa. 60 IN PTR x.example.org."), "may.", "", dns.RcodeRefused, false, 0},
		{"an address without a port", mayUpdate, add(t, "muster.internal.", "new.svc.muster.internal. 60 IN A 10.0.0.9"), "may.", "", dns.RcodeRefused, false, 0},
		{"one good and one bad", mayUpdate, add(t, "muster.internal.", record, "muster.internal. 60 IN NS ns1.example.org."), "may.", "", dns.RcodeRefused, false, 0},
		{"where nobody may", "muster muster.internal", add(t, "muster.internal.", record), "may.", "", dns.RcodeNotImplemented, false, 0},
	}
	for _, tt := range tests {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(tt.about+" over "+network, func(t *testing.T) {
				s := newSource()
				c := &dns.Client{Net: network, Timeout: time.Minute}
				m := tt.m.Copy()
				if tt.key != "" {
					secret := tt.secret
					if secret == "" {
						secret = secrets[strings.ToLower(tt.key)]
					}
					c.TsigSecret = map[string]string{tt.key: secret}
					m.SetTsig(tt.key, dns.HmacSHA256, 300, time.Now().Unix())
				}
				reply, _, err := c.ExchangeContext(t.Context(), m, listen(t, tt.block, s)[network])
				if reply == nil || err != nil && tt.rcode != dns.RcodeNotAuth {
					t.Fatalf("reply = %v, %v", reply, err)
				}
				if reply.Rcode != tt.rcode {
					t.Errorf("reply = %v, want %s", reply, dns.RcodeToString[tt.rcode])
				}
				i := s.Snapshot().Instance(newcomer)
				if (i != nil) != tt.registered {
					t.Fatalf("registered: %v, want %v", i != nil, tt.registered)
				}
				if i != nil && (i.Weight != 3 || i.Ephemeral() != (tt.lease > 0)) {
					t.Errorf("weight %v, ephemeral %v, want 3, %v", i.Weight, i.Ephemeral(), tt.lease > 0)
				}
				if granted := leaseOf(reply); granted != tt.lease {
					t.Errorf("lease of %d s, want %d", granted, tt.lease)
				}
			})
		}
	}
}

// leaseOf returns the lease that a reply grants, 0 without one.
func leaseOf(m *dns.Msg) uint32 {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if l, ok := o.(*dns.EDNS0_UL); ok {
				return l.Lease
			}
		}
	}
	return 0
}

func TestUpdateSetupRefuses(t *testing.T) {
	tests := []struct{ about, block, want string }{
		{"no key", "muster example.org {\nupdate\n}", "update: want the name of one key"},
		{"a key that is no name", "muster example.org {\nupdate a..b\n}", "update: a key has a domain name"},
		{"a key without a secret", "muster example.org {\nupdate nobody\n}", "update: key nobody. has no secret in the plugin tsig"},
		{"a lease for nobody", "muster example.org {\nlease 10 20\n}", "lease: nobody may update"},
		{"half a lease", "muster example.org {\nupdate may\nlease 10\n}", "lease: want the shortest and the longest"},
		{"a longest lease that is shorter", "muster example.org {\nupdate may\nlease 20 10\n}", "lease: want one number from 20"},
		{"an etcd that is read", "muster example.org {\nupdate may\netcd http://192.0.2.1:2379\n}", "etcd: a Muster server answers from its own roll"},
	}
	for _, tt := range tests {
		if _, err := signed(t, tt.block, newSource()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: setup = %v, want %q", tt.about, err, tt.want)
		}
	}
}
