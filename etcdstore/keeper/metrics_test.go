package keeper_test

import (
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

func TestMetricsOfTheProcess(t *testing.T) {
	k, stop := running(t, config(t.TempDir()))
	all, err := k.Gather()
	if err != nil {
		t.Fatalf("Gather() = %v, want nil", err)
	}
	for _, name := range []string{"etcd_disk_wal_fsync_duration_seconds", "muster_etcd_process_cpu_seconds_total"} {
		if !slices.ContainsFunc(all, func(m *dto.MetricFamily) bool { return m.GetName() == name && len(m.Metric) == 1 }) {
			t.Errorf("Gather() has no %s", name)
		}
	}
	for _, m := range all {
		if !strings.HasPrefix(m.GetName(), "etcd_") && !strings.HasPrefix(m.GetName(), "muster_etcd_process_") {
			t.Errorf("Gather() has %s, which the process that asks has too", m.GetName())
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
	if all, err := k.Gather(); len(all) > 0 || err != nil {
		t.Errorf("Gather() without a process = %d families, %v, want none, nil", len(all), err)
	}
}
