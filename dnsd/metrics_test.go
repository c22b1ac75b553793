package dnsd_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// dropped is the metric of what was turned away at addr.
func dropped(tb testing.TB, addr, proto string) float64 {
	tb.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "coredns_transport_dropped_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["server"] == "dns://"+addr && labels["proto"] == proto {
				return m.GetCounter().GetValue()
			}
		}
	}
	tb.Fatalf("no metric of %s over %s", addr, proto)
	return 0
}
