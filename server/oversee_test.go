package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

const tsigSecret = "c2VjcmV0IG9mIHRoZSBrZXlzIG9mIHRoaXMgdGVzdA=="

const keyedCorefile = `muster.internal:0 10.in-addr.arpa:0 {
    bind 127.0.0.1
    tsig {
        secret registrar. ` + tsigSecret + `
        secret xfr. ` + tsigSecret + `
        secret stranger. ` + tsigSecret + `
        require_opcode none
    }
    transfer {
        to *
    }
    muster {
        update registrar xfr
    }
}
`

// keyed starts a server with keys of DNS, and returns how its answers to what a key signs
// begin: an update of one record, or the transfer of a zone when the record is empty.
func keyed(t *testing.T, auth, dir string) (*server.Server, func(key, zone, record string) string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(file, []byte(keyedCorefile), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, server.Config{Auth: auth, DataDir: dir, Corefile: file})
	return s, func(key, zone, record string) string {
		t.Helper()
		m := new(dns.Msg).SetAxfr(zone)
		if record != "" {
			rr, err := dns.NewRR(record)
			if err != nil {
				t.Fatal(err)
			}
			m = new(dns.Msg).SetUpdate(zone)
			m.Insert([]dns.RR{rr})
		}
		m.SetEdns0(1232, false)
		c := &dns.Client{Net: "tcp", Timeout: time.Minute}
		if key != "" {
			c.TsigSecret = map[string]string{key: tsigSecret}
			if key == "forged." {
				c.TsigSecret[key] = "Zm9yZ2Vk"
			}
			m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
		}
		reply, _, err := c.ExchangeContext(t.Context(), m, s.Addresses().DNS)
		if reply == nil {
			t.Fatalf("no reply to %s of key %q: %v", zone, key, err)
		}
		if err != nil && reply.Rcode != dns.RcodeNotAuth {
			t.Errorf("the reply to key %q: %v", key, err)
		}
		return dns.RcodeToString[reply.Rcode]
	}
}

func record(name string) string {
	return name + ".muster.internal. 5 IN SRV 0 1000 80 ip-10-0-0-9.addr.muster.internal."
}

// TestKeysNeedRights holds every way to write and take zones against the roles of keys, and
// what the log says of each.
func TestKeysNeedRights(t *testing.T) {
	dir := t.TempDir()
	s, do := keyed(t, "on", dir)
	admin := as(t, s, "admin", adminSecret(t, dir))
	rule := func(verbs, kind, namespace string, deny ...bool) api.AccessRule {
		return api.AccessRule{Kind: kind, Namespace: namespace, Group: "*", Verbs: verbs, Deny: len(deny) > 0}
	}
	for name, rules := range map[string][]api.AccessRule{
		"registrar": {rule("w", "dns", "muster.internal"), rule("w", "naming", "dev"), rule("w", "naming", "public")}, "no-prod": {rule("w", "naming", "prod", true)},
		"secondary": {rule("r", "dns", "muster.internal")},
	} {
		if err := admin.PutRole(t.Context(), name, api.RoleSpec{Rules: rules}); err != nil {
			t.Fatal(err)
		}
	}
	for key, roles := range map[string][]string{"Registrar.": {"registrar", "no-prod"}, "xfr": {"secondary"}} {
		if err := admin.PutTSIG(t.Context(), key, api.TSIGSpec{Roles: roles}); err != nil {
			t.Fatal(err)
		}
	}
	began := len(recorded(t, dir))
	type try struct{ key, zone, record, want, says string }
	tries := []try{
		{"registrar.", "muster.internal.", record("a.svc"), "NOERROR", "dns-update done key registrar muster.internal, put public DEFAULT_GROUP a 10.0.0.9:80"},
		{"registrar.", "muster.internal.", record("a.svc.dev.ns"), "NOERROR", "dns-update done key registrar muster.internal, put dev DEFAULT_GROUP a 10.0.0.9:80"},
		{"registrar.", "muster.internal.", record("a.svc.prod.ns"), "REFUSED", "dns-update refused key registrar muster.internal: key registrar may not write naming prod/DEFAULT_GROUP: role no-prod: deny w naming prod/*"},
		{"registrar.", "muster.internal.", record("b.svc.team.ns"), "REFUSED", "dns-update refused key registrar muster.internal: key registrar may not write naming team/DEFAULT_GROUP: no rule allows it"},
		{"registrar.", "muster.internal.", "muster.internal. 5 IN NS ns.example.org.", "REFUSED", "dns-update refused key registrar muster.internal: muster.internal.: the apex of the zone is not for updates"},
		{"registrar.", "muster.internal.", "", "REFUSED", "dns-transfer refused key registrar muster.internal: key registrar may not read dns muster.internal/*: no rule allows it"},
		{"xfr.", "muster.internal.", record("c.svc"), "REFUSED", "dns-update refused key xfr muster.internal: key xfr may not write dns muster.internal/*: no rule allows it"},
		{"xfr.", "muster.internal.", "", "NOERROR", ""},
		{"xfr.", "10.in-addr.arpa.", "", "REFUSED", "dns-transfer refused key xfr 10.in-addr.arpa: key xfr may not read dns 10.in-addr.arpa/*: no rule allows it"},
		{"stranger.", "muster.internal.", record("c.svc"), "REFUSED", "dns-update refused key stranger muster.internal: the key may not update"},
		{"stranger.", "muster.internal.", "", "REFUSED", "dns-transfer refused key stranger muster.internal: key stranger may not read dns muster.internal/*: it has no role"},
		{"forged.", "muster.internal.", record("c.svc"), "NOTAUTH", "dns-update refused anonymous  muster.internal: not signed with key forged as that signs"},
		{"forged.", "muster.internal.", "", "NOTAUTH", "dns-transfer refused anonymous  muster.internal: not signed with key forged as that signs"},
		{"", "muster.internal.", record("c.svc"), "REFUSED", "dns-update refused anonymous  muster.internal: not signed"},
		{"", "muster.internal.", "", "REFUSED", "dns-transfer refused anonymous  muster.internal: key - may not read dns muster.internal/*: it has no role"},
	}
	var want []string
	for _, c := range tries {
		if got := do(c.key, c.zone, c.record); got != c.want {
			t.Errorf("key %q, zone %s, record %q: %s, want %s", c.key, c.zone, c.record, got, c.want)
		}
		if c.says != "" {
			want = append(want, strings.Split(c.says, ", ")...)
		}
	}
	var got []string
	var call uint64
	for _, r := range recorded(t, dir)[began:] {
		if r.From != "127.0.0.1" {
			t.Errorf("%+v is not from this host", r)
		}
		if r.Change != "" {
			got = append(got, fmt.Sprintf("%s %s %s %s %s", r.Change, r.Namespace, r.Group, r.Name, r.Item))
			if r.Call != call || r.Revision == 0 || r.Who != "registrar" {
				t.Errorf("the part %+v is not of call %d, or of nobody", r, call)
			}
			continue
		}
		call = r.Seq
		line := fmt.Sprintf("%s %s %s %s %s", r.Op, r.Result, r.Kind, r.Who, r.Namespace)
		if r.Why != "" {
			line += ": " + r.Why
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log says (-want +got):\n%s", diff)
	}
	for name, want := range map[string]int{"a": 1, "c": 0} {
		list, err := admin.Instances(t.Context(), client.Name{Name: name}, client.InstanceQuery{})
		if n := len(list.Instances); n != want && (want > 0 || err == nil) {
			t.Errorf("service %s has %d instances, %v, want %d", name, n, err, want)
		}
	}

	// Who may is told, and what an operator takes away counts at once.
	d, err := admin.Can(t.Context(), client.Who{Key: "XFR."}, client.Act{Verb: "r", Kind: "dns", Namespace: "muster.internal"})
	if err != nil || !d.Allowed || d.Subject != "key xfr" {
		t.Errorf("Can of a key = %+v, %v", d, err)
	}
	who, err := admin.WhoCan(t.Context(), client.Act{Verb: "r", Kind: "dns", Namespace: "muster.internal"})
	if err != nil || !slices.ContainsFunc(who.Decisions, func(d api.Decision) bool { return d.Subject == "key xfr" }) {
		t.Errorf("WhoCan = %+v, %v, want key xfr among them", who, err)
	}
	if err := admin.PutTSIG(t.Context(), "-", api.TSIGSpec{Roles: []string{"secondary"}}); err != nil {
		t.Fatal(err)
	}
	if got := do("", "muster.internal.", ""); got != "NOERROR" {
		t.Errorf("a transfer without a signature = %s once that may read the zone", got)
	}
	if err := admin.DeleteTSIG(t.Context(), "xfr"); err != nil {
		t.Fatal(err)
	}
	if got := do("xfr.", "muster.internal.", ""); got != "REFUSED" {
		t.Errorf("a transfer with a key that has no role any more = %s", got)
	}
	if keys, err := admin.TSIGs(t.Context()); err != nil || len(keys.Keys) != 2 || keys.Keys[1].Name != "registrar" {
		t.Errorf("TSIGs = %+v, %v", keys, err)
	}
	if err := admin.DeleteTSIG(t.Context(), "nobody"); !isStatus(err, http.StatusNotFound) {
		t.Errorf("DeleteTSIG of nobody = %v, want 404", err)
	}
	if err := admin.PutTSIG(t.Context(), "a b", api.TSIGSpec{Roles: []string{}}); !isStatus(err, http.StatusBadRequest) {
		t.Errorf("PutTSIG of no name = %v, want 400", err)
	}
}

// TestTransferAskedForOtherwise holds that a transfer needs the right to read the zone
// whatever the message calls itself: the plugin transfer goes by the type of the question
// alone.
func TestTransferAskedForOtherwise(t *testing.T) {
	dir := t.TempDir()
	s, do := keyed(t, "on", dir)
	if got := do("", "muster.internal.", ""); got != "REFUSED" {
		t.Fatalf("a transfer without a right = %s", got)
	}
	for _, opcode := range []int{dns.OpcodeNotify, dns.OpcodeUpdate} {
		for _, kind := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
			for _, key := range []string{"", "registrar."} {
				m := new(dns.Msg).SetAxfr("muster.internal.")
				if kind == dns.TypeIXFR {
					m.SetIxfr("muster.internal.", 1, "ns1.muster.internal.", "hostmaster.muster.internal.")
				}
				m.Opcode = opcode
				c := &dns.Client{Net: "tcp", Timeout: time.Minute}
				if key != "" {
					c.TsigSecret = map[string]string{key: tsigSecret}
					m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
				}
				reply, _, err := c.ExchangeContext(t.Context(), m, s.Addresses().DNS)
				if err != nil {
					t.Fatal(err)
				}
				if reply.Rcode != dns.RcodeRefused || len(reply.Answer) > 0 {
					t.Errorf("%s of %s with key %q = %s and %d records, want REFUSED", dns.OpcodeToString[opcode], dns.TypeToString[kind], key,
						dns.RcodeToString[reply.Rcode], len(reply.Answer))
				}
			}
		}
	}
	all := recorded(t, dir) // those that are alike once
	if last := all[len(all)-1]; last.Op != "dns-transfer" || last.Who != "registrar" || last.Result != "refused" {
		t.Errorf("the log ends with %+v, want the transfer that was refused to registrar", last)
	}
}

// TestKeysOfTheCorefileAlone holds that nothing else is asked for while nobody has to log
// in, and that the log has it all the same.
func TestKeysOfTheCorefileAlone(t *testing.T) {
	dir := t.TempDir()
	_, do := keyed(t, "off", dir)
	for _, c := range []struct{ key, record, want string }{
		{"registrar.", record("a.svc.any.ns"), "NOERROR"}, {"registrar.", "", "NOERROR"}, {"stranger.", "", "NOERROR"}, {"", "", "NOERROR"},
		{"stranger.", record("b.svc"), "REFUSED"}, {"", record("b.svc"), "REFUSED"},
	} {
		if got := do(c.key, "muster.internal.", c.record); got != c.want {
			t.Errorf("key %q, record %q: %s, want %s", c.key, c.record, got, c.want)
		}
	}
	var got []string
	for _, r := range recorded(t, dir) {
		got = append(got, fmt.Sprintf("%s %s %s", r.Result, r.Who, r.Name))
	}
	if diff := cmp.Diff([]string{"done registrar ", "done registrar a", "refused stranger ", "refused  "}, got); diff != "" {
		t.Errorf("the log says (-want +got):\n%s", diff)
	}
}

func isStatus(err error, status int) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Status == status
}

// TestKeysHaveSecrets holds that nobody can sign with nothing, as where the Corefile takes a
// secret from a variable that is not set.
func TestKeysHaveSecrets(t *testing.T) {
	transfers := strings.Replace(keyedCorefile, "update registrar xfr", "update registrar", 1)
	for _, property := range []string{`secret xfr. ""`, "secret xfr. {$MUSTER_TEST_OF_NO_SUCH_VARIABLE}"} {
		text := strings.Replace(transfers, "secret xfr. "+tsigSecret, property, 1)
		if err := server.CheckCorefile([]byte(text), "Corefile"); err == nil || !strings.Contains(err.Error(), "key xfr. has an empty secret") {
			t.Errorf("a Corefile with %s = %v, want that the secret is empty", property, err)
		}
	}
	if err := server.CheckCorefile([]byte(transfers), "Corefile"); err != nil {
		t.Errorf("a Corefile whose keys have secrets = %v", err)
	}
}
