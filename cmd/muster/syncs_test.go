package main

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// Registrations that come at once wait for the disk together.
func TestRegistrationsShareSyncs(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	const syncs = "etcd_disk_wal_fsync_duration_seconds_count"
	before := s.metric(syncs)
	if before == 0 {
		t.Fatal("/metrics does not tell how often etcd waited for the disk")
	}
	const clients, each = 64, 10
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			for i := range each {
				status, body, err := request(http.MethodPost, s.url()+pathInstance,
					params("serviceName", fmt.Sprint("s", i), "ip", fmt.Sprintf("10.0.%d.%d", i, c), "port", "80"))
				if err != nil || status != http.StatusOK {
					t.Errorf("register = %d %q, %v", status, body, err)
				}
			}
		})
	}
	running.Wait()
	if n := s.metric(syncs) - before; n > clients*each/4 {
		t.Errorf("%d registrations took %.0f waits for the disk, want one for many of them", clients*each, n)
	}
}
