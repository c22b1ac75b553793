package grpc_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
	"github.com/musterhq/muster/test/binary"
)

// The timers of what a connection holds run from when it was lost, and not before.
func TestALostConnectionStartsTheTimers(t *testing.T) {
	t.Parallel()
	s := binary.StartServer(t, binary.Muster(), "--dns", "127.0.0.1:0", "--min-free", "0")
	const unhealthy, removed = 3 * time.Second, 5 * time.Second
	c, onlooker := rpctest.Connect(t, s.GRPC, rpctest.Options{}), rpctest.Connect(t, s.GRPC, rpctest.Options{})
	if a := c.Call("InstanceRequest", object{"serviceName": "order-api", "type": "registerInstance", "instance": object{"ip": "192.0.2.1", "port": 80,
		"metadata": object{"preserved.heart.beat.interval": 500, "preserved.heart.beat.timeout": unhealthy.Milliseconds(),
			"preserved.ip.delete.timeout": removed.Milliseconds()}}}); !a.Success {
		t.Fatalf("register = %s", a.Body)
	}
	state := func() string {
		a := onlooker.Call("ServiceQueryRequest", object{"serviceName": "order-api"})
		var list struct {
			ServiceInfo struct{ Hosts []struct{ Healthy bool } }
		}
		if err := json.Unmarshal(a.Body, &list); err != nil {
			t.Fatal(err)
		}
		switch hosts := list.ServiceInfo.Hosts; {
		case len(hosts) == 0:
			return "gone"
		case hosts[0].Healthy:
			return "healthy"
		}
		return "silent"
	}
	if binary.Poll(removed+time.Second, func() bool { return state() != "healthy" }, nil) {
		t.Fatalf("the instance of a connection that lives is %s", state())
	}
	c.Close()
	lost := time.Now()
	for _, next := range []struct {
		state string
		after time.Duration
	}{{"silent", unhealthy}, {"gone", removed}} {
		if !binary.Poll(time.Minute, func() bool { return state() == next.state }, nil) {
			t.Fatalf("the instance of a lost connection is %s after %s, want %s", state(), time.Since(lost), next.state)
		}
		// The last word may have been heard one interval before.
		if took := time.Since(lost); took < next.after-time.Second {
			t.Errorf("the instance of a lost connection is %s after %s, before %s", next.state, took, next.after)
		}
	}
}
