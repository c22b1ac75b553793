package dnsd

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestSystemDropsAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	d := newDrops(reg)
	drop := func() int {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		filter(conn, nil)
		d.watch(conn, "dns://test")
		defer d.forget(conn)
		client, err := net.DialUDP("udp", nil, conn.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for range 7 {
			if _, err := client.Write([]byte("no query")); err != nil {
				t.Fatal(err)
			}
		}
		return 7
	}
	want := 0
	for range 2 { // one socket after the other
		want += drop()
		text := fmt.Sprintf(`# HELP coredns_transport_socket_dropped_total Counter of UDP packets that the system has dropped, as they came faster than they were read, or were no queries or part of a flood.
# TYPE coredns_transport_socket_dropped_total counter
coredns_transport_socket_dropped_total{server="dns://test"} %d
`, want)
		if err := testutil.GatherAndCompare(reg, strings.NewReader(text)); err != nil {
			t.Error(err)
		}
	}
}
