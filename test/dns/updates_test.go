package dns_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
)

// Keys: one that may change instances, and one that is known but may not.
const (
	registrar, registrarSecret = "registrar.", "a2VwdCBieSB3aG8gbWF5IHJlZ2lzdGVyIGhlcmU="
	stranger, strangerSecret   = "stranger.", "a2VwdCBieSB3aG8gbWF5IG5vdCByZWdpc3Rlcg=="
	wrongSecret                = "bm90IHdoYXQgdGhlIHNlcnZlciBoYXMgZm9yIGl0IQ=="
)

// signing has a block check signatures, and demand one for updates.
const signing = `    tsig {
        secret ` + registrar + ` ` + registrarSecret + `
        secret ` + stranger + ` ` + strangerSecret + `
        require_opcode UPDATE
    }
`

// updatable are the properties of a block that registers what a key wants.
const updatable = "update " + registrar + "\n        lease 1 60"

// updated is a server that takes updates.
type updated struct {
	*lab.Server
	t       *testing.T
	address string
}

// nsupdate runs the program with these commands, in which ZONE is the zone, and
// returns what it says. args say how to sign and to send.
func (u updated) nsupdate(commands string, args ...string) (says string) {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), peer.Path(u.t, "nsupdate"), args...)
	cmd.Stdin = strings.NewReader("server " + u.address + " " + lab.Port + "\nzone " + zone + "\n" +
		strings.ReplaceAll(commands, "ZONE", zone) + "\nsend\n")
	out, err := cmd.CombinedOutput()
	if (err == nil) != (len(out) == 0) {
		u.t.Fatalf("nsupdate %q: %v, and it says %q", args, err, out)
	}
	return string(out)
}

// dig returns the sorted lines that dig has for a name.
func (u updated) dig(name, kind string) []string {
	u.t.Helper()
	out, err := exec.CommandContext(u.t.Context(), peer.Path(u.t, "dig"), "+short", "@"+u.address, "-p", lab.Port, full(name), kind).Output()
	if err != nil {
		u.t.Fatalf("dig %s %s: %v", name, kind, err)
	}
	lines := strings.Split(strings.TrimSuffix(string(bytes.ReplaceAll(out, []byte("."+zone), nil)), "\n"), "\n")
	slices.Sort(lines)
	return slices.DeleteFunc(lines, func(s string) bool { return s == "" })
}

// list returns the instances of a service as the HTTP API lists them: endpoint, cluster,
// weight, metadata. There are none of a service that is not there.
func (u updated) list(service client.Name) (all []string) {
	u.t.Helper()
	list, err := u.Instances(u.t.Context(), service, client.InstanceQuery{})
	if err != nil && !strings.Contains(err.Error(), "not found") {
		u.t.Fatalf("instances of %s: %v", service, err)
	}
	for _, i := range list.Instances {
		all = append(all, fmt.Sprintf("%s:%d %s %v %v", i.Address, i.Port, i.Cluster, *i.Weight, i.Metadata))
	}
	slices.Sort(all)
	return all
}

// wantSame compares what is answered with what is wanted, both sorted.
func wantSame(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func signedBy(key, secret string) string {
	return "hmac-sha256:" + strings.TrimSuffix(key, ".") + ":" + secret
}

// What nsupdate registers is found by dig and in the list of the HTTP API, until it is
// deleted.
func TestNsupdate(t *testing.T) {
	t.Parallel()
	address := lab.Address()
	s := start(t, strings.Replace(block(address, lab.Port, updatable), "errors\n", "errors\n"+signing, 1))
	u := updated{s, t, address}
	key := signedBy(registrar, registrarSecret)
	well := func(commands string, args ...string) {
		t.Helper()
		if says := u.nsupdate(commands, append(args, "-y", key)...); says != "" {
			t.Errorf("nsupdate says %q, want nothing", says)
		}
	}
	const shop = "shop.svc"
	for name, how := range map[string][]string{"UDP": nil, "TCP": {"-v"}} {
		t.Run("an instance over "+name, func(t *testing.T) {
			well("update add shop.svc.ZONE 5 SRV 0 3000 8080 ip-10-0-0-9.addr.ZONE\n"+
				`update add shop.svc.ZONE 5 TXT "protocol=http" "version=v1"`, how...)
			wantSame(t, "SRV", u.dig(shop, "SRV"), "0 3000 8080 ip-10-0-0-9.addr")
			wantSame(t, "SRV by protocol", u.dig("_http._tcp."+shop, "SRV"), "0 3000 8080 ip-10-0-0-9.addr")
			wantSame(t, "A", u.dig(shop, "A"), "10.0.0.9")
			wantSame(t, "PTR", u.dig("9.0.0.10.in-addr.arpa.", "PTR"), "ip-10-0-0-9.addr")
			wantSame(t, "TXT", u.dig("ip-10-0-0-9.shop.inst", "TXT"), `"protocol=http"`, `"version=v1"`)
			wantSame(t, "list", u.list(named("shop")), "10.0.0.9:8080 DEFAULT 3 map[protocol:http version:v1]")

			well("update add shop.svc.bj.cl.ZONE 5 SRV 0 1000 8081 ip6-2001-db8-0-0-0-0-0-1.addr.ZONE", how...)
			wantSame(t, "AAAA", u.dig(shop, "AAAA"), "2001:db8::1")
			wantSame(t, "list of two", u.list(named("shop")), "10.0.0.9:8080 DEFAULT 3 map[protocol:http version:v1]", "2001:db8::1:8081 bj 1 map[]")

			well("update delete shop.svc.ZONE SRV 0 3000 8080 ip-10-0-0-9.addr.ZONE", how...)
			wantSame(t, "A of one that is left", u.dig(shop, "A"))
			wantSame(t, "SRV of one that is left", u.dig(shop, "SRV"), "0 1000 8081 ip6-2001-db8-0-0-0-0-0-1.addr")
			well("update delete shop.svc.ZONE", how...)
			wantSame(t, "SRV of none", u.dig(shop, "SRV"))
			wantSame(t, "list of none", u.list(named("shop")))
		})
	}
	t.Run("an instance of another namespace and group", func(t *testing.T) {
		well("update add shop.svc.pay.grp.dev.ns.ZONE 5 SRV 0 1000 80 ip-10-0-0-8.addr.ZONE")
		wantSame(t, "A", u.dig("shop.svc.pay.grp.dev.ns", "A"), "10.0.0.8")
		wantSame(t, "list", u.list(client.Name{Namespace: "dev", Group: "pay", Name: "shop"}), "10.0.0.8:80 DEFAULT 1 map[]")
	})
	t.Run("prerequisites", func(t *testing.T) {
		const first, second = "10.0.1.1:80 DEFAULT 1 map[]", "10.0.1.2:80 DEFAULT 1 map[]"
		const addFirst, addSecond = "\nupdate add cart.svc.ZONE 5 SRV 0 1000 80 ip-10-0-1-1.addr.ZONE", "\nupdate add cart.svc.ZONE 5 SRV 0 1000 80 ip-10-0-1-2.addr.ZONE"
		for _, c := range []struct {
			about, commands, says string
			want                  []string
		}{
			{"a name that must be there is not", "prereq yxdomain cart.svc.ZONE" + addFirst, "NXDOMAIN", nil},
			{"a set that must be there is not", "prereq yxrrset cart.svc.ZONE SRV" + addFirst, "NXRRSET", nil},
			{"a name that must be free is", "prereq nxdomain cart.svc.ZONE" + addFirst, "", []string{first}},
			{"a name that must be free is not", "prereq nxdomain cart.svc.ZONE" + addSecond, "YXDOMAIN", []string{first}},
			{"a set that must not be there is", "prereq nxrrset cart.svc.ZONE SRV" + addSecond, "YXRRSET", []string{first}},
			{"a set is another one", "prereq yxrrset cart.svc.ZONE SRV 0 1000 80 ip-10-0-1-2.addr.ZONE" + addSecond, "NXRRSET", []string{first}},
			{"a set is as it must be, and is replaced", "prereq yxrrset cart.svc.ZONE SRV 0 1000 80 ip-10-0-1-1.addr.ZONE\n" +
				"update delete cart.svc.ZONE SRV" + addSecond, "", []string{second}},
			{"one of two changes is none", "update delete cart.svc.ZONE\nupdate add cart.svc.ZONE 5 A 10.0.1.3", "REFUSED", []string{second}},
		} {
			says := u.nsupdate(c.commands, "-y", key)
			if (says == "") != (c.says == "") || !strings.Contains(says, c.says) {
				t.Errorf("%s: nsupdate says %q, want %q", c.about, says, c.says)
			}
			wantSame(t, c.about, u.list(named("cart")), c.want...)
		}
	})
	t.Run("who may not", func(t *testing.T) {
		for about, c := range map[string]struct {
			args []string
			says string
		}{
			"without a key":                       {nil, "REFUSED"},
			"with a key that may not":             {[]string{"-y", signedBy(stranger, strangerSecret)}, "REFUSED"},
			"with another secret for the key":     {[]string{"-y", signedBy(registrar, wrongSecret)}, "BADSIG"},
			"with a key that the server does not": {[]string{"-y", signedBy("nobody.", wrongSecret)}, "BADKEY"},
		} {
			if says := u.nsupdate("update add theft.svc.ZONE 5 SRV 0 1000 80 ip-10-0-2-1.addr.ZONE", c.args...); !strings.Contains(says, c.says) {
				t.Errorf("%s: nsupdate says %q, want %q", about, says, c.says)
			}
			wantSame(t, about, u.list(named("theft")))
		}
	})
}

// adding is an update that adds an instance.
func adding(t *testing.T, service, address string) *dns.Msg {
	t.Helper()
	rr, err := dns.NewRR(fmt.Sprintf("%s.svc.%s 5 SRV 0 1000 80 ip-%s.addr.%s", service, zone, strings.ReplaceAll(address, ".", "-"), zone))
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg).SetUpdate(zone)
	m.Insert([]dns.RR{rr})
	return m
}

// Over every transport those who may register do, and all others are told that they
// may not.
func TestUpdatesOverEveryTransport(t *testing.T) {
	t.Parallel()
	address := lab.Address()
	corefile, transports := everywhere(t, address, signing, updatable)
	s := start(t, corefile)
	u := updated{s, t, address}
	var registered []string
	for i, via := range transports {
		send := func(m *dns.Msg, key, secret string) (*dns.Msg, error) {
			if key == "" {
				return via.Ask(t.Context(), m)
			}
			return via.AskSigned(t.Context(), m, key, secret)
		}
		t.Run(via.Name, func(t *testing.T) {
			instance := fmt.Sprint("10.0.3.", i+1)
			for _, c := range []struct {
				about, key, secret string
				rcode              int
			}{
				{"without a key", "", "", dns.RcodeRefused},
				{"with a key that may not", stranger, strangerSecret, dns.RcodeRefused},
				{"with another secret for the key", registrar, wrongSecret, dns.RcodeNotAuth},
				{"with a key that nobody knows", "nobody.", wrongSecret, dns.RcodeNotAuth},
				{"with the key", registrar, registrarSecret, dns.RcodeSuccess},
			} {
				m := adding(t, "shop", instance)
				reply, err := send(m, c.key, c.secret)
				switch {
				case err != nil:
					t.Errorf("%s: %v", c.about, err)
				case reply.Rcode != c.rcode || reply.Opcode != dns.OpcodeUpdate || reply.Id != m.Id:
					t.Errorf("%s: reply %v, want %s", c.about, reply, dns.RcodeToString[c.rcode])
				}
				if c.rcode == dns.RcodeSuccess {
					registered = append(registered, instance+":80 DEFAULT 1 map[]")
				}
				wantSame(t, c.about, u.list(named("shop")), registered...)
			}
			if got := u.dig("shop.svc", "A"); len(got) != len(registered) {
				t.Errorf("A = %q, want those of %q", got, registered)
			}
		})
	}
	if len(registered) != len(transports) {
		t.Errorf("registered = %q, want one over each transport", registered)
	}
}

// Where no block says so nobody registers anything, over no transport, also with a
// key that is known.
func TestNobodyUpdatesUnlessItIsSaid(t *testing.T) {
	t.Parallel()
	address := lab.Address()
	corefile, transports := everywhere(t, address, signing, "")
	u := updated{start(t, corefile), t, address}
	for i, via := range transports {
		m := adding(t, "shop", fmt.Sprint("10.0.4.", i+1))
		if reply, err := via.AskSigned(t.Context(), m, registrar, registrarSecret); err == nil && reply.Rcode == dns.RcodeSuccess {
			t.Errorf("%s: %v", via.Name, reply)
		}
	}
	wantSame(t, "what is registered", u.list(named("shop")))
}

// An instance with a lease stays for as long as that is renewed, and then goes.
func TestUpdateLease(t *testing.T) {
	t.Parallel()
	// Half of the lease is what a renewal may be late.
	lease, late := 4*time.Second, time.Minute
	if *longFlag {
		late = 4 * time.Second
	}
	address := lab.Address()
	s := start(t, strings.Replace(block(address, lab.Port, updatable), "errors\n", "errors\n"+signing, 1))
	u := updated{s, t, address}
	via := lab.TCP(address + ":" + lab.Port)
	renew := func(service, at string) {
		t.Helper()
		m := adding(t, service, at)
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_UL{Code: dns.EDNS0UL, Lease: uint32(lease / time.Second)})
		reply, err := via.AskSigned(t.Context(), m, registrar, registrarSecret)
		if err != nil || reply.Rcode != dns.RcodeSuccess {
			t.Fatalf("renew: %v, %v", reply, err)
		}
		opt := reply.IsEdns0()
		if opt == nil || len(opt.Option) != 1 || opt.Option[0].String() != fmt.Sprint(uint32(lease/time.Second), " 0") {
			t.Fatalf("reply %v, want a lease of %v", reply, lease)
		}
	}
	there := func(service string) bool {
		t.Helper()
		listed, answered := len(u.list(named(service))) == 1, len(ask(t, via, service+".svc", dns.TypeSRV).Answer) == 1
		if listed != answered { // it went between the two
			listed, answered = len(u.list(named(service))) == 1, len(ask(t, via, service+".svc", dns.TypeSRV).Answer) == 1
		}
		if listed != answered {
			t.Fatalf("%s: listed %t, answered %t", service, listed, answered)
		}
		return listed
	}
	if says := u.nsupdate("update add stays.svc.ZONE 5 SRV 0 1000 80 ip-10-0-4-3.addr.ZONE", "-y", signedBy(registrar, registrarSecret)); says != "" {
		t.Fatal(says)
	}
	began, renewed := time.Now(), time.Time{} // each before the lease is
	renew("once", "10.0.4.1")
	var gone time.Duration
	binary.Eventually(t, time.Minute, "the time of renewals is over", func() bool {
		if time.Since(renewed) > lease/2 {
			renewed = time.Now()
			renew("kept", "10.0.4.2")
		}
		if !there("kept") {
			t.Fatalf("an instance is gone %v after its lease was renewed", time.Since(renewed))
		}
		if gone == 0 && !there("once") {
			gone = time.Since(began)
		}
		return time.Since(began) > 2*lease && gone > 0
	})
	binary.Eventually(t, lease+late, "the lease that is renewed no more is over", func() bool { return !there("kept") })
	last := time.Since(renewed)
	t.Logf("a lease of %v that was never renewed was over after %v, one that was renewed for %v after %v", lease, gone, time.Since(began)-last, last)
	for _, took := range []time.Duration{gone, last} {
		if took < lease || took > lease+late {
			t.Errorf("a lease of %v was over after %v, want at most %v more", lease, took, late)
		}
	}
	if !there("stays") {
		t.Error("an instance without a lease is gone")
	}
}
