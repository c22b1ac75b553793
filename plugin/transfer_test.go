package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/acl"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/transfer"
	_ "github.com/coredns/coredns/plugin/tsig"
	"github.com/miekg/dns"

	muster "github.com/musterhq/muster/plugin"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

func init() {
	dnsserver.Directives = slices.Concat([]string{"bind", "acl", "tsig", "transfer"}, dnsserver.Directives)
	// What a Muster server puts into an instance there is no other way to put into
	// one that caddy makes.
	caddy.RegisterPlugin("roll", caddy.Plugin{ServerType: "dns", Action: func(c *caddy.Controller) error {
		c.Set(muster.StorageKey, *started.Load())
		return nil
	}})
	dnsserver.Directives = slices.Insert(dnsserver.Directives, 0, "roll")
}

// started is the source of the server that is started next.
var started atomic.Pointer[muster.Source]

const secret = "c2VjcmV0LW9mLXRoZS10cmFuc2ZlcnMtMzItYnl0ZXM="

// following is a source that tells when it changes.
type following struct {
	*source
	store *registrytest.Store
}

func (f following) Changed() <-chan struct{} { return f.store.View().Changed() }

func newFollowing() following {
	store := registrytest.NewStore()
	return following{&source{Registry: registry.New(store, &registrytest.Roll{})}, store}
}

// start starts a CoreDNS with the plugins that transfers need on a free port of
// loopback, and returns where.
func start(t *testing.T, s muster.Source, block string) (address string, stop func()) {
	t.Helper()
	started.Store(&s)
	dnsserver.Port = "0"
	corefile := fmt.Sprintf("muster.internal 10.in-addr.arpa {\nroll\nbind 127.0.0.1\n%s\n}\n", block)
	instance, err := caddy.Start(caddy.CaddyfileInput{Filepath: "Corefile", Contents: []byte(corefile), ServerTypeName: "dns"})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := errors.Join(append(instance.ShutdownCallbacks(), instance.Stop())...); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	for _, server := range instance.Servers() {
		if tcp := server.Addr(); tcp != nil {
			return tcp.String(), stop
		}
	}
	t.Fatal("no server")
	return "", nil
}

// take takes a zone, since a serial when that is not 0, and returns the records.
func take(server, zone string, serial uint32, key string) ([]dns.RR, error) {
	m := new(dns.Msg)
	if serial == 0 {
		m.SetAxfr(zone)
	} else {
		m.SetIxfr(zone, serial, "ns1."+zone, "hostmaster."+zone)
	}
	transfer := &dns.Transfer{DialTimeout: time.Minute, ReadTimeout: time.Minute}
	if key != "" {
		m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
		transfer.TsigSecret = map[string]string{key: secret}
	}
	envelopes, err := transfer.In(m, server)
	if err != nil {
		return nil, err
	}
	var all []dns.RR
	for e := range envelopes {
		if e.Error != nil {
			return nil, e.Error
		}
		all = append(all, e.RR...)
	}
	return all, nil
}

func serialOf(rr dns.RR) uint32 { return rr.(*dns.SOA).Serial }

const open = "transfer {\nto *\n}\nmuster muster.internal 10.in-addr.arpa\n"

func TestTransfer(t *testing.T) {
	f := following{fixture(t), nil}
	server, _ := start(t, f, open)
	f.register(t, key("order-api"), "10.0.0.76", 8080)
	all, err := take(server, "muster.internal.", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	serial := serialOf(all[0])
	if last, ok := all[len(all)-1].(*dns.SOA); !ok || last.Serial != serial || serial != uint32(f.Snapshot().Revision()) {
		t.Errorf("transfer begins with serial %d and ends with %v, want %d", serial, all[len(all)-1], f.Snapshot().Revision())
	}
	text := linesOf(all)
	for _, want := range []string{
		"order-api.svc.muster.internal. 5 IN SRV 0 3000 8080 ip-10-0-0-2.addr.muster.internal.",
		"ext-db.svc.muster.internal. 5 IN CNAME db.example.net.",
		"muster.internal. 5 IN NS ns1.muster.internal.", "ns1.muster.internal. 5 IN A 127.0.0.1",
	} {
		if !slices.Contains(text, want) {
			t.Errorf("the zone lacks %s", want)
		}
	}
	pointers, err := take(server, "10.in-addr.arpa.", 0, "")
	if err != nil || !slices.Contains(linesOf(pointers), "1.0.0.10.in-addr.arpa. 5 IN PTR ip-10-0-0-1.addr.muster.internal.") {
		t.Errorf("reverse zone = %q, %v, want the pointer to 10.0.0.1", linesOf(pointers), err)
	}

	if same, err := take(server, "muster.internal.", serial, ""); err != nil || len(same) != 1 {
		t.Errorf("changes since now = %q, %v, want the SOA alone", linesOf(same), err)
	}
	f.register(t, key("order-api"), "10.0.0.77", 8080)
	changes, err := take(server, "muster.internal.", serial, "")
	if err != nil || len(changes) < 4 || len(changes) > 40 || serialOf(changes[1]) != serial {
		t.Fatalf("changes since %d = %q, %v, want few, from that serial", serial, linesOf(changes), err)
	}
	whole, err := take(server, "muster.internal.", serial-1, "")
	if err != nil || len(whole) < len(all) {
		t.Errorf("since a serial that nobody was sent there come %d records, %v, want the zone", len(whole), err)
	}
}

// linesOf returns records with a blank between their parts.
func linesOf(records []dns.RR) (all []string) {
	for _, rr := range records {
		all = append(all, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	return all
}

func TestTransferRefuses(t *testing.T) {
	const keyed = "tsig {\nsecret xfr. " + secret + "\nrequire AXFR IXFR\n}\n" + open
	tests := []struct {
		name, block, zone, key string
		ready                  bool
		want                   string
	}{
		{"a zone of ours", open, "muster.internal.", "", true, ""},
		{"a name below it", open, "svc.muster.internal.", "", true, "bad xfr rcode: 5"},
		{"no plugin transfer", "muster", "muster.internal.", "", true, "bad xfr rcode: 5"},
		{"an address that is not named", "transfer {\nto 192.0.2.1\n}\nmuster", "muster.internal.", "", true, "bad xfr rcode: 5"},
		{"an address that acl blocks", "acl {\nblock type AXFR net 127.0.0.1\n}\n" + open, "muster.internal.", "", true, "bad xfr rcode: 5"},
		{"before the roll is known", open, "muster.internal.", "", false, "bad xfr rcode: 2"},
		{"no key", keyed, "muster.internal.", "", true, "bad xfr rcode: 5"},
		{"the wrong key", keyed, "muster.internal.", "other.", true, "bad"},
		{"the key", keyed, "muster.internal.", "xfr.", true, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFollowing()
			f.register(t, key("a"), "10.0.0.1", 80)
			f.unready.Store(!test.ready)
			server, _ := start(t, f, test.block)
			_, err := take(server, test.zone, 0, test.key)
			if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
				t.Errorf("transfer ends with %v, want %q", err, test.want)
			}
		})
	}
}

// A serial means the same on all servers: whoever has it from another one gets
// what changed if this one told or sent the same state to anybody.
func TestSerialOfAnotherServer(t *testing.T) {
	f := newFollowing()
	f.epoch.Store(5000)
	for i := range 50 {
		f.register(t, key(fmt.Sprint("s", i)), "10.0.0.1", 80)
	}
	one, _ := start(t, f, open)
	other, _ := start(t, f, open)
	third, _ := start(t, f, open)
	f.register(t, key("s0"), "10.0.0.2", 80)
	known, err := take(one, "muster.internal.", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	serial := serialOf(known[0])
	if want := uint32(f.Snapshot().Revision()) + 5000; serial != want {
		t.Errorf("serial = %d, want %d", serial, want)
	}
	if _, err := take(other, "10.in-addr.arpa.", 0, ""); err != nil { // of whatever zone
		t.Fatal(err)
	}
	f.register(t, key("s1"), "10.0.0.2", 80)
	for name, test := range map[string]struct {
		server      string
		incremental bool
	}{"that sent it": {one, true}, "that sent the same state to another": {other, true}, "that sent nothing": {third, false}} {
		all, err := take(test.server, "muster.internal.", serial, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := all[1].(*dns.SOA); ok != test.incremental {
			t.Errorf("a server %s sends %d records, what changed: %v, want %v", name, len(all), ok, test.incremental)
		}
	}
	if same, err := take(third, "muster.internal.", serial+1000, ""); err != nil || len(same) != 1 {
		t.Errorf("to a newer serial there come %d records, %v, want the SOA", len(same), err)
	}
}

// Who has a zone from before a start may have it with other times to live: what
// changed since does not lead from there.
func TestNoDifferenceFromBeforeTheStart(t *testing.T) {
	f := newFollowing()
	for i := range 20 {
		f.register(t, key(fmt.Sprint("s", i)), "10.0.0.1", 80)
	}
	old, stop := start(t, f, open)
	known, err := take(old, "muster.internal.", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	stop()
	server, _ := start(t, f, "transfer {\nto *\n}\nmuster {\nttl 60\n}")
	if _, err := take(server, "muster.internal.", 0, ""); err != nil { // by somebody else
		t.Fatal(err)
	}
	f.register(t, key("s1"), "10.0.0.2", 80)
	all, err := take(server, "muster.internal.", serialOf(known[0]), "")
	if err != nil || len(all) < len(known) || all[1].Header().Ttl != 60 {
		t.Errorf("there come %d records, %v, of them %v; want the zone", len(all), err, all[1])
	}
}

// Somebody who stops reading does not hold up the end.
func TestTransferThatNobodyReadsEnds(t *testing.T) {
	f := newFollowing()
	for i := range 3000 {
		f.register(t, key(fmt.Sprint("s", i)), "10.0.0.1", uint16(i))
	}
	server, stop := start(t, f, open)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m := new(dns.Msg)
	if err := (&dns.Conn{Conn: conn}).WriteMsg(m.SetAxfr("muster.internal.")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 2)); err != nil { // it has begun
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		stop()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("the server does not end within 20 s")
	}
}

func TestTransferThatPanicsEndsAlone(t *testing.T) {
	records := make(chan []dns.RR, 1)
	muster.RunTransfer(func() {
		defer close(records)
		records <- nil
		panic("told to")
	})
	n := 0
	for range records {
		n++
	}
	if n != 1 {
		t.Errorf("parts of a transfer that panics = %d, want the one before it", n)
	}
}
