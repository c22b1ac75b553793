package dnsperf_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/test/benchdns/dnsperf"
)

const said = `DNS Performance Testing Tool
Version 2.10.0

[Status] Command line: dnsperf -s 127.0.0.1 -p 5300 -d questions
[Status] Sending queries (to 127.0.0.1:5300)
[Timeout] Query timed out: msg id 7
[Status] Testing complete (time limit)

Statistics:

  Queries sent:         201000
  Queries completed:    200988 (99.99%)
  Queries lost:         12 (0.01%)

  Response codes:       NOERROR 200000 (99.51%), SERVFAIL 988 (0.49%)
  Average packet size:  request 48, response 96
  Run time (s):         2.003142
  Queries per second:   100336.371550

  Average Latency (s):  0.002286 (min 0.000039, max 0.012345)
  Latency StdDev (s):   0.000711
`

func TestParse(t *testing.T) {
	got, err := dnsperf.Parse(said)
	want := dnsperf.Result{
		Sent: 201000, Answered: 200988, Lost: 12, Codes: map[string]int{"NOERROR": 200000, "SERVFAIL": 988},
		Took: 2003142 * time.Microsecond, Mean: 2286 * time.Microsecond, Max: 12345 * time.Microsecond, Request: 48, Response: 96,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Parse: %v (-want +got):\n%s", err, diff)
	}
	if rate := got.Rate(); rate < 100_336 || rate > 100_337 {
		t.Errorf("rate = %v, want 100336", rate)
	}
}

func TestParseOther(t *testing.T) {
	for name, out := range map[string]string{
		"nothing":            "",
		"no statistics":      "Error: unable to open questions",
		"a line is missing":  strings.Replace(said, "Run time", "Walk time", 1),
		"a line is not so":   strings.Replace(said, "0.002286", "soon", 1),
		"a code is no count": strings.Replace(said, "NOERROR 200000", "NOERROR many", 1),
	} {
		if r, err := dnsperf.Parse(out); err == nil {
			t.Errorf("%s: %+v, want an error", name, r)
		}
	}
}

func TestArgs(t *testing.T) {
	r := dnsperf.Run{Questions: "q", To: netip.MustParseAddrPort("127.0.0.1:5300"), Threads: 2, Length: 1500 * time.Millisecond, Rate: 1500}
	const want = "-s 127.0.0.1 -p 5300 -d q -c 16 -T 2 -q 240 -l 1.5 -t 1 -e -Q 1500"
	if got := strings.Join(r.Args(), " "); got != want {
		t.Errorf("arguments = %s, want %s", got, want)
	}
}
