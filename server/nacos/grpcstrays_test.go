package nacos_test

import (
	"testing"
	"time"

	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// A client that was listening and connects anew without a word of it is asked to connect
// anew; one that listens, one that never did, and another one are left alone.
func TestWhoForgetsToListenHasToConnectAnew(t *testing.T) {
	w := newWorld(t)
	nacos.MissListeners(w.Handler, 100*time.Millisecond)
	at := w.serveGRPC(t, func(c *rpc.Config) { c.Grace = time.Minute })
	connect := func(app string) *rpctest.Client {
		return rpctest.Connect(t, at, rpctest.Options{Setup: rpctest.Setup{Version: "Nacos-Java-Client:v3.0.3", Labels: map[string]string{"module": "config", "AppName": app}}})
	}
	listen := func(c *rpctest.Client) {
		c.CallInto("ConfigBatchListenRequest", `{"configListenContexts":[{"dataId":"a","group":"g"}]}`, new(struct{}))
	}
	quiet := map[string]*rpctest.Client{"never listened": connect("query"), "another client": connect("other")}
	var again []*rpctest.Client
	for _, app := range []string{"forgets", "listens", "query"} {
		before := connect(app)
		if app != "query" {
			listen(before)
		}
		again = append(again, connect(app)) // while the one before is there, as a client that moves does
		before.Close()
	}
	listen(again[1])
	again[0].Next("ConnectResetRequest")
	quiet["listens again"], quiet["connects anew and never listened"] = again[1], again[2]
	for name, c := range quiet {
		c.Call("HealthCheckRequest", nil)
		select {
		case p := <-c.Pushes():
			t.Errorf("a client that %s is pushed %s %s", name, p.Type, p.Body)
		default:
		}
	}

	// It had not listened, so nobody who follows it is asked: only the one that listens again
	// follows one that had.
	again[0].Close()
	for end := time.Now().Add(time.Minute); nacos.Silent(w.Handler) > 3; <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("its end is not noticed within a minute")
		}
	}
	if n := nacos.Lost(w.Handler); n != 1 {
		t.Errorf("%d clients are known to have listened before, want 1", n)
	}
}
