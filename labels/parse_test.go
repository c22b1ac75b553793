package labels_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/musterhq/muster/labels"
)

func TestParse(t *testing.T) {
	const want = "site=bj zone=a" // of 10.1.2.3
	for name, content := range map[string]string{
		"CSV":                         "address,site,zone\n10.0.0.0/8,bj,\n10.1.2.3,,a\n",
		"CSV with a byte order mark":  "\uFEFFaddress,site,zone\n10.0.0.0/8,bj,\n10.1.2.3,,a\n",
		"CSV with CRLF":               "address,site,zone\r\n10.0.0.0/8,bj,\r\n10.1.2.3,,a\r\n",
		"CSV with quotes and spaces":  "Address, site ,\"zone\"\n\"10.0.0.0/8\", bj ,\n10.1.2.3 ,,\"a\"\n",
		"CSV with empty lines":        "address,site,zone\n\n10.0.0.0/8,bj,\n\n10.1.2.3,,a\n\n",
		"an object":                   `{"10.0.0.0/8":{"site":"bj"},"10.1.2.3":{"zone":"a"}}`,
		"an object with empty values": `{"10.0.0.0/8":{"site":"bj"},"10.1.2.3":{"zone":"a","site":""}}`,
		"an object with a byte order mark and CRLF": "\uFEFF{\r\n\"10.0.0.0/8\":{\"site\":\"bj\"},\r\n\"10.1.2.3\":{\"zone\":\"a\"}}\r\n",
		"an array": `[{"address":"10.0.0.0/8","labels":{"site":"bj"}},{"labels":{"zone":"a"},"address":"10.1.2.3"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := text(parse(t, content).Of(netip.MustParseAddr("10.1.2.3"))); got != want {
				t.Errorf("labels = %q, want %q", got, want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("x", 600)
	columns := "address"
	for i := range 65 {
		columns += fmt.Sprint(",l", i)
	}
	for _, c := range []struct {
		name, content string
		format        labels.Format
		says          string
	}{
		{"nothing", "", labels.CSV, "is empty"},
		{"a byte order mark alone", "\uFEFF", labels.JSON, "is empty"},
		{"white space", " \r\n\t\n", labels.Unknown, "is empty"},
		{"NULs, as after a crash of the machine", "\x00\x00\x00", labels.Unknown, "line 1: the first column"},
		{"UTF-16", "\xff\xfea\x00", labels.Unknown, "line 1: is not UTF-8"},
		{"another encoding, later", "address,zone\n10.0.0.1,\xb1\xb1\n", labels.Unknown, "line 2: is not UTF-8"},

		{"CSV without a header", "10.0.0.1,a\n", labels.Unknown, `line 1: the first column is called "10.0.0.1", not "address"`},
		{"CSV with semicolons", "address;zone\n10.0.0.1;a\n", labels.Unknown, "line 1: the first column"},
		{"CSV with a header alone", "address,zone\n", labels.Unknown, "has no entries"},
		{"CSV cut off in a line", "address,zone\n10.0.0.1,a\n10.0.0.2,", labels.Unknown, "line 3: the last line has no end"},
		{"CSV cut off in an address", "address,zone\n10.0.0.1,a\n10.0.0", labels.Unknown, "line 3: wrong number of fields"},
		{"CSV cut off in a quote", "address,zone\n10.0.0.1,\"a", labels.Unknown, "line 2: extraneous or missing"},
		{"CSV with a short row", "address,site,zone\n10.0.0.1,a\n", labels.Unknown, "line 2: wrong number of fields"},
		{"CSV with a long row", "address,zone\n10.0.0.1,a,b\n", labels.Unknown, "line 2: wrong number of fields"},
		{"CSV with an address twice", "address,zone\n10.0.0.1,a\n10.0.0.2,a\n10.0.0.1,b\n", labels.Unknown, `line 4: "10.0.0.1" is given twice, first in line 2`},
		{"CSV with an address twice, written otherwise", "address,zone\n10.0.0.1,a\n\"::ffff:10.0.0.1/128\",b\n", labels.Unknown, "is given twice, first in line 2"},
		{"CSV with a host name twice", "address,zone\ndb,a\nDB.,b\n", labels.Unknown, `line 3: "DB." is given twice`},
		{"CSV with a label twice", "address,zone,zone\n10.0.0.1,a,b\n", labels.Unknown, `line 1: column 3: label "zone" is given twice`},
		{"CSV with a label without a name", "address,zone,\n10.0.0.1,a,b\n", labels.Unknown, "line 1: column 3: a label has no name"},
		{"CSV with a name of a label that cannot be", "address,zo ne\n10.0.0.1,a\n", labels.Unknown, `label "zo ne": a name has no white space`},
		{"CSV with too many labels", columns + "\n", labels.Unknown, "line 1: has 65 labels, more than 64"},
		{"a value that is too long", "address,zone\n10.0.0.1," + long + "\n", labels.Unknown, `line 2: "10.0.0.1": the value of label "zone" is longer than 512 bytes`},
		{"a name that is too long", "address," + long + "\n", labels.Unknown, "is longer than 128 bytes"},
		{"a value of two lines", "address,zone\n10.0.0.1,\"a\nb\"\n", labels.Unknown, `the value of label "zone" has a control character`},
		{"no address", "address,zone\n10.0.0.300,a\n", labels.Unknown, `line 2: "10.0.0.300" is neither an address nor a network nor a host name`},
		{"an empty address", "address,zone\n,a\n", labels.Unknown, `line 2: "" is neither`},
		{"a broken IPv6 address", "address,zone\n2001:db8::g,a\n", labels.Unknown, "is neither"},
		{"an address with a zone", "address,zone\nfe80::1%eth0,a\n", labels.Unknown, `"fe80::1%eth0" has a zone`},
		{"no network", "address,zone\n10.0.0.0/33,a\n", labels.Unknown, `"10.0.0.0/33" is not a network`},
		{"a network with host bits", "address,zone\n10.0.0.1/8,a\n", labels.Unknown, "10.0.0.0/8 is meant"},

		{"an empty object", "{}", labels.Unknown, "has no entries"},
		{"an empty array", "[]", labels.Unknown, "has no entries"},
		{"null", "null", labels.JSON, "line 1: a table is an object or an array"},
		{"an object cut off", "{\n\"10.0.0.1\":{\"zone\":\"a\"},\n\"10.0.", labels.Unknown, "line 3: ends in the middle"},
		{"an object cut off between entries", "{\n\"10.0.0.1\":{\"zone\":\"a\"}\n", labels.Unknown, "ends in the middle"},
		{"an object and something behind", `{"10.0.0.1":{"zone":"a"}} {}`, labels.Unknown, "something follows"},
		{"an address twice", "{\"10.0.0.1\":{},\n\"10.0.0.1\":{}}", labels.Unknown, `line 2: "10.0.0.1" is given twice, first in line 1`},
		{"a label twice", `{"10.0.0.1":{"zone":"a","zone":"b"}}`, labels.Unknown, `"10.0.0.1": label "zone" is given twice`},
		{"a number for a value", `{"10.0.0.1":{"zone":1}}`, labels.Unknown, `"zone" is not a text`},
		{"a list for labels", `{"10.0.0.1":["zone"]}`, labels.Unknown, `"10.0.0.1" is not an object`},
		{"an entry without an address", `[{"labels":{}}]`, labels.Unknown, "an entry has no address"},
		{"an entry without labels", `[{"address":"10.0.0.1"}]`, labels.Unknown, "an entry has no labels"},
		{"an entry with more", `[{"address":"10.0.0.1","label":{}}]`, labels.Unknown, `unknown key "label"`},
		{"an entry with two addresses", `[{"address":"10.0.0.1","address":"10.0.0.2","labels":{}}]`, labels.Unknown, `"address" is given twice`},
		{"an entry that is no object", `["10.0.0.1"]`, labels.Unknown, "an entry is not an object"},
		{"CSV that is said to be JSON", "address,zone\n10.0.0.1,a\n", labels.JSON, "line 1: invalid character"},
		{"JSON that is said to be CSV", `{"10.0.0.1":{}}`, labels.CSV, "line 1: "},
		{"a page", "<html>\n", labels.Unknown, "line 1: the first column"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := labels.Parse([]byte(c.content), c.format)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Parse() = %v, want an error with %q", err, c.says)
			}
		})
	}
}

func TestParseBoundsEntries(t *testing.T) {
	for _, content := range []string{"address\n10.0.0.1\n10.0.0.2\ndb\n", `{"10.0.0.1":{},"10.0.0.2":{},"db":{}}`} {
		if _, err := labels.ParseAtMost([]byte(content), 3); err != nil {
			t.Errorf("Parse(as many as may be) = %v", err)
		}
		if _, err := labels.ParseAtMost([]byte(content), 2); err == nil || !strings.Contains(err.Error(), "more than 2 entries") {
			t.Errorf("Parse(one more than may be) = %v, want an error", err)
		}
	}
}

func fuzz(f *testing.F, format labels.Format, seeds ...string) {
	f.Helper()
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		table, err := labels.Parse(content, format)
		if (table == nil) == (err == nil) {
			t.Fatalf("Parse() = %v, %v, want one of the two", table, err)
		}
		if err != nil {
			return
		}
		if table.Len() == 0 {
			t.Error("Parse() returns an empty table")
		}
		for _, a := range []string{"0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "2001:db8::1"} {
			for name, value := range table.Of(netip.MustParseAddr(a)) {
				if name == "" || value == "" {
					t.Errorf("Of(%s) has %q=%q", a, name, value)
				}
			}
		}
		for _, p := range []string{"0.0.0.0/0", "10.0.0.0/8", "::/0", "2001:db8::/32"} {
			network := netip.MustParsePrefix(p)
			if _, scope := table.OfNetwork(network); scope < network.Bits() || scope > network.Addr().BitLen() {
				t.Errorf("OfNetwork(%s) has scope %d", p, scope)
			}
		}
	})
}

func FuzzCSV(f *testing.F) {
	fuzz(f, labels.CSV, campus, "\uFEFFaddress,zone\r\n\"10.1.2.3\",\"a\"\"b\"\r\n", "address\n10.0.0.0/8\n", "address,zone\n10.0.0.1,", "")
}

func FuzzJSON(f *testing.F) {
	fuzz(f, labels.JSON, `{"10.0.0.0/8":{"site":"bj"},"10.1.2.3":{"zone":"a"}}`, `[{"address":"2001:db8::1","labels":{"a":"b"}}]`,
		`{"a":{"b":{}}}`, `[[]]`, `{"10.0.0.1":`, `{"::":{},}`, `{} {}`)
}
