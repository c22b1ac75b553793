package dnsd_test

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/musterhq/muster/dnsd"
)

// hotData answers in the zone "data." as the plugin does.
type hotData struct{}

func (hotData) Answer(buf, query []byte, _ netip.AddrPort) (int, bool) {
	var m dns.Msg
	if m.Unpack(query) != nil || !dns.IsSubDomain("data.", m.Question[0].Name) {
		return 0, false
	}
	out, err := dataAnswer(&m).PackBuffer(buf)
	return copy(buf, out), err == nil
}

func (hotData) Sent(int, time.Duration) {}

// pageOf is what the metrics page has of a server in the families of CoreDNS, the times
// left out.
func pageOf(t *testing.T, port string) map[string]string {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	page := map[string]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "coredns_dns_") {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			ours := false
			for _, l := range m.GetLabel() {
				value := l.GetValue()
				if l.GetName() == "server" {
					value, ours = strings.CutSuffix(value, ":"+port)
				}
				labels = append(labels, l.GetName()+"="+value)
			}
			if ours {
				page[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = valueOf(f, m)
			}
		}
	}
	return page
}

func valueOf(f *dto.MetricFamily, m *dto.Metric) string {
	h := m.GetHistogram()
	switch {
	case h == nil:
		return fmt.Sprint(m.GetCounter().GetValue())
	case strings.HasSuffix(f.GetName(), "_seconds"):
		return fmt.Sprint(h.GetSampleCount())
	}
	var buckets []uint64
	for _, b := range h.GetBucket() {
		buckets = append(buckets, b.GetCumulativeCount())
	}
	return fmt.Sprint(h.GetSampleCount(), h.GetSampleSum(), buckets, h.GetZeroCount(), h.GetPositiveSpan(), h.GetPositiveDelta())
}

// The same questions count the same with and without a hot path.
func TestMetricsAreTheSame(t *testing.T) {
	for _, plugins := range []string{" prometheus 127.0.0.1:METRICS\n errors\n muster\n", " prometheus 127.0.0.1:METRICS\n muster\n", " errors\n muster\n"} {
		cold, _ := countedPage(t, plugins, nil)
		hot, answers := countedPage(t, plugins, hotData{})
		if diff := cmp.Diff(cold, hot); diff != "" {
			t.Errorf("%q: (-cold +hot)\n%s", plugins, diff)
		}
		if none := !strings.Contains(plugins, "prometheus"); none != (len(cold) == 0) {
			t.Errorf("%q: %d series", plugins, len(cold))
		}
		if answers == 0 {
			t.Errorf("%q: nothing was hot", plugins)
		}
	}
}

func countedPage(t *testing.T, plugins string, hot dnsd.HotPath) (page map[string]string, answers float64) {
	t.Helper()
	storage := map[any]any{textKey{}: "cold"}
	if hot != nil {
		storage[hotKey{}] = hot
	}
	text := "data:PORT sub.data:PORT {\n" + plugins + "}\ndata:" + freePort(t) + " other.data:" + freePort(t) + " {\n bind 127.0.0.1\n whoami\n}"
	port := freePort(t)
	for len(pageOf(t, port)) > 0 { // which another server has had
		port = freePort(t)
	}
	text = strings.ReplaceAll(text, "PORT", port)
	s, err := dnsd.Open(dnsd.Config{Corefile: []byte(strings.ReplaceAll(text, "METRICS", freePort(t))), Storage: storage})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	addr := net.JoinHostPort("127.0.0.1", port)
	addrs, asked := []string{addr}, 2
	if conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "[::1]:0"); err == nil { // a host may have no IPv6
		conn.Close()
		addrs = append(addrs, "[::1]:"+port)
	}
	for i, name := range []string{"data.", "a.data.", "nx.data.", "b.sub.DATA.", "sub.data.", "nx.other.data."} {
		for _, qtype := range slices.Sorted(maps.Keys(dns.TypeToString)) {
			if qtype == dns.TypeOPT || qtype == dns.TypeAXFR || qtype == dns.TypeIXFR {
				continue
			}
			m := question(name, qtype)
			if qtype%3 > 0 {
				m.SetEdns0(1232, qtype%3 == 2)
			}
			exchange(t, "udp", addrs[(int(qtype)+i)%len(addrs)], m)
			asked++
		}
	}
	exchange(t, "tcp", addr, question("a.data.", dns.TypeA))
	if err := s.Reload([]byte(strings.ReplaceAll(text, "METRICS", freePort(t)))); err != nil { // which forgets nothing
		t.Fatal(err)
	}
	exchange(t, "udp", addr, question("a.data.", dns.TypeA))
	// What is sent is counted a moment later.
	eventually(t, "everything is counted", func() bool {
		page = pageOf(t, port)
		counted := 0
		for series, value := range page {
			if n, err := strconv.Atoi(value); err == nil && strings.Contains(series, "_duration_seconds{") {
				counted += n
			}
		}
		return counted == asked || !strings.Contains(plugins, "prometheus")
	})
	return page, gathered(t, "coredns_transport_hot_answers_total", "dns://:"+port)
}
