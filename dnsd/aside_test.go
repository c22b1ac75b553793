package dnsd_test

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/nsid"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// everything is a hot path that answers all it is asked, as the plugin does for the zone
// "data.".
type everything struct{ echo }

// saidOfHotPath is what a log says of the hot path.
func saidOfHotPath(log string) string {
	for line := range strings.Lines(log) {
		if _, said, ok := strings.Cut(line, `msg="dns hot path" address=`); ok {
			_, said, _ = strings.Cut(strings.TrimSpace(said), " ")
			return said
		}
	}
	return ""
}

// Which of the names a., b.a. and c. are answered by the hot path, and what is said of it.
func TestWhereHotPathsAreUsed(t *testing.T) {
	const off = "on=false why="
	for _, tc := range []struct{ about, corefile, hot, said string }{
		{"alone", "a:PORT {\n BIND muster\n}", "a. b.a.", "on=true"},
		{"behind what does not matter", "a:PORT {\n BIND errors\n nsid\n any\n chaos\n cancel\n metadata\n bufsize\n transfer {\n to *\n }\n muster\n}", "a. b.a.", "on=true"},
		{"with plugins that are none", "a:PORT {\n BIND root .\n debug\n timeouts {\n read 2s\n }\n muster\n}", "a. b.a.", "on=true"},
		{"before what comes later", ".:PORT {\n BIND muster\n hosts\n loop\n forward . 127.0.0.1:1\n whoami\n}", "a. b.a. c.", "on=true"},
		{"the root, and another block", ".:PORT {\n BIND muster\n}\nc:PORT {\n BIND whoami\n}", "a. b.a.", "on=true"},
		{"a zone within", "a:PORT {\n BIND muster\n}\nb.a:PORT {\n BIND acl {\n allow\n }\n muster\n}", "a.", `on=true why="b.a. plugin acl stands before muster"`},
		{"a zone around", ".:PORT {\n BIND log\n whoami\n}\na:PORT {\n BIND muster\n}", "a. b.a.", "on=true"},
		{"two zones in one block", "b.a:PORT c:PORT {\n BIND muster\n}", "b.a. c.", "on=true"},
		{"two blocks", "a:PORT {\n BIND muster\n}\nc:PORT {\n BIND muster\n}", "a. b.a. c.", "on=true"},
		{"acl", "a:PORT {\n BIND acl {\n allow\n }\n muster\n}", "", off + `"a. plugin acl stands before muster"`},
		{"log", "a:PORT {\n BIND log\n muster\n}", "", off + `"a. plugin log stands before muster"`},
		{"rewrite", "a:PORT {\n BIND rewrite name x.a y.a\n muster\n}", "", off + `"a. plugin rewrite stands before muster"`},
		{"cache", "a:PORT {\n BIND cache\n muster\n}", "", off + `"a. plugin cache stands before muster"`},
		{"header", "a:PORT {\n BIND header {\n response set ra\n }\n muster\n}", "", off + `"a. plugin header stands before muster"`},
		{"minimal", "a:PORT {\n BIND minimal\n muster\n}", "", off + `"a. plugin minimal stands before muster"`},
		{"local", "a:PORT {\n BIND local\n muster\n}", "", off + `"a. plugin local stands before muster"`},
		{"template", "a:PORT {\n BIND template IN MX a\n muster\n}", "", off + `"a. plugin template stands before muster"`},
		{"loadbalance", "a:PORT {\n BIND loadbalance\n muster\n}", "", off + `"a. plugin loadbalance stands before muster"`},
		{"dnssec", "a:PORT {\n BIND dnssec\n muster\n}", "", off + `"a. plugin dnssec stands before muster"`},
		{"dnstap", "a:PORT {\n BIND dnstap tcp://127.0.0.1:1\n muster\n}", "", off + `"a. plugin dnstap stands before muster"`},
		{"tsig", "a:PORT {\n BIND tsig {\n secret key. NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk=\n }\n muster\n}", "", off + `"a. plugin tsig stands before muster"`},
		{"view", "a:PORT {\n BIND view v {\n expr client_ip() == '127.0.0.1'\n }\n muster\n}", "", off + `"a. view decides who is answered"`},
		{"a zone in two views", "a:PORT {\n BIND view v {\n expr client_ip() == '192.0.2.1'\n }\n whoami\n}\na:PORT {\n BIND muster\n}", "", off + `"a. view decides who is answered"`},
		{"a small bufsize", "a:PORT {\n BIND bufsize 512\n muster\n}", "", off + `"a. bufsize is below 1232"`},
		{"one of two blocks", "a:PORT {\n BIND muster\n}\nc:PORT {\n BIND log\n muster\n}", "a. b.a.", `on=true why="c. plugin log stands before muster"`},
		{"no plugin that has one", "a:PORT {\n BIND whoami\n}", "", ""},
	} {
		t.Run(tc.about, func(t *testing.T) {
			var log logged
			port := freePort(t)
			s, err := dnsd.Open(dnsd.Config{
				Corefile: []byte(strings.NewReplacer("PORT", port, "BIND", "bind 127.0.0.1\n").Replace(tc.corefile)),
				Storage:  map[any]any{hotKey{}: everything{}, textKey{}: "cold"},
				Logger:   slog.New(slog.NewTextHandler(&log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var hot []string
			for _, name := range []string{"a.", "b.a.", "c."} {
				r := exchange(t, "udp", net.JoinHostPort("127.0.0.1", port), question(name, dns.TypeTXT))
				if r.RecursionDesired && len(r.Answer) == 0 && r.Rcode == dns.RcodeSuccess && !r.Authoritative && len(r.Extra) == 0 {
					hot = append(hot, name)
				}
			}
			if got := strings.Join(hot, " "); got != tc.hot {
				t.Errorf("hot = %q, want %q", got, tc.hot)
			}
			if got := saidOfHotPath(log.String()); got != tc.said {
				t.Errorf("said %q, want %q", got, tc.said)
			}
		})
	}
}
