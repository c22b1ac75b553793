package dnsd_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// dropped is the metric of what was turned away at addr.
func dropped(tb testing.TB, addr, proto string) float64 {
	tb.Helper()
	return gathered(tb, "coredns_transport_dropped_total", "dns://"+addr, "proto", proto)
}

// gathered is the value of a counter or gauge of a server, with further labels; 0 when
// there is none.
func gathered(tb testing.TB, name, server string, more ...string) float64 {
	tb.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["server"] == server && (len(more) == 0 || labels[more[0]] == more[1]) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}
