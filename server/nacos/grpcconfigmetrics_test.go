package nacos_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// TestClientsSayWhatTheyHold when an operator asks, and those that say nothing hold
// nobody up for long.
func TestClientsSayWhatTheyHold(t *testing.T) {
	w, at := newGRPC(t)
	over := w.serve(t)
	client := rpctest.Connect(t, at, rpctest.Options{Setup: javaSetup, Manual: true})
	client.CallInto("ConfigBatchListenRequest", `{"configListenContexts":[{"dataId":"a","group":"g"}]}`, new(struct{}))
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		push := client.Next("ClientConfigMetricRequest")
		var asked struct {
			Keys []struct{ Type, Key string } `json:"metricsKeys"`
		}
		push.Into(&asked)
		if len(asked.Keys) != 2 || asked.Keys[0].Type != "cacheData" || asked.Keys[0].Key != "a+g" || asked.Keys[1].Type != "snapshotData" {
			t.Errorf("it is asked %s", push.Body)
		}
		client.Say("ClientConfigMetricResponse", map[string]any{"requestId": push.ID, "resultCode": 200, "metrics": map[string]any{"cacheData": map[string]any{"a+g": "held"}}})
	}()
	got := do(t, over.URL, "GET /nacos/v1/cs/metrics/cluster?ip=127.0.0.1&dataId=a&group=g")
	<-answered
	var said map[string]any
	if err := json.Unmarshal([]byte(got.body), &said); err != nil {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	if diff := cmp.Diff(map[string]any{"cacheData": map[string]any{"a+g": "held"}}, said); diff != "" {
		t.Errorf("an operator is told (-want +got):\n%s", diff)
	}
	if got := do(t, over.URL, "GET /nacos/v1/cs/metrics/current?ip=192.0.2.9"); got.status != 200 || got.body != "{}" {
		t.Errorf("of an address without clients: %d %s, want nothing", got.status, got.body)
	}
}
