package nacos_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// told is a message to who watches by a pattern.
type toldFuzzy struct {
	Pattern    string `json:"groupKeyPattern"`
	SyncType   string
	Contexts   []struct{ GroupKey, ChangedType string }
	TotalBatch int
	GroupKey   string
	ChangeType string
}

// words returns a push in short: its type, and the names in it.
func words(t testing.TB, p rpctest.Push) string {
	t.Helper()
	var m toldFuzzy
	if err := json.Unmarshal(p.Body, &m); err != nil {
		t.Fatalf("%s: %v", p.Body, err)
	}
	if p.Type == "ConfigFuzzyWatchChangeNotifyRequest" {
		return m.ChangeType + " " + m.GroupKey
	}
	var names []string
	for _, c := range m.Contexts {
		names = append(names, c.ChangedType+" "+c.GroupKey)
	}
	slices.Sort(names)
	return strings.Join(append([]string{m.SyncType, fmt.Sprint(m.TotalBatch)}, names...), " ")
}

// TestDocumentsAreWatchedByPattern: what there is, what comes and what goes.
func TestDocumentsAreWatchedByPattern(t *testing.T) {
	w := newWorld(t)
	at := w.serveGRPC(t)
	for _, id := range []string{"app-a", "app-b", "web"} {
		w.put(t, id, "1")
	}
	client := rpctest.Connect(t, at, rpctest.Options{Setup: javaSetup})
	watch := func(body string) {
		t.Helper()
		client.CallInto("ConfigFuzzyWatchRequest", body, new(struct{}))
	}
	expect := func(want ...string) {
		t.Helper()
		for _, want := range want {
			if got := words(t, client.Next("")); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
	}
	watch(`{"groupKeyPattern":"public>>g>>app-*","watchType":"WATCH","initializing":true,"receivedGroupKeys":[]}`)
	expect("FUZZY_WATCH_INIT_NOTIFY 1 ADD_CONFIG app-a+g+public ADD_CONFIG app-b+g+public", "FINISH_FUZZY_WATCH_INIT_NOTIFY 0")
	w.put(t, "app-a", "2") // it is there, as before
	w.put(t, "other", "1")
	w.put(t, "app-c", "1")
	expect("ADD_CONFIG app-c+g+public")
	if _, _, err := w.center().Delete(t.Context(), named("app-b"), config.Condition{}, config.Author{}); err != nil {
		t.Fatal(err)
	}
	expect("DELETE_CONFIG app-b+g+public")
	watch(`{"groupKeyPattern":"public>>g>>app-*","watchType":"WATCH","initializing":false,"receivedGroupKeys":["app-a+g+public","app-gone+g","web+g+public"]}`)
	expect("FUZZY_WATCH_DIFF_SYNC_NOTIFY 1 ADD_CONFIG app-c+g+public DELETE_CONFIG app-gone+g+public")
	watch(`{"groupKeyPattern":"public>>g>>app-*","watchType":"CANCEL_WATCH"}`)
	w.put(t, "app-d", "1")
	watch(`{"groupKeyPattern":"public>>*>>*d","watchType":"WATCH","initializing":true}`)
	expect("FUZZY_WATCH_INIT_NOTIFY 1 ADD_CONFIG app-d+g+public", "FINISH_FUZZY_WATCH_INIT_NOTIFY 0")
	for i := range 45 {
		w.put(t, fmt.Sprintf("many-%d", i), "1")
	}
	watch(`{"groupKeyPattern":"public>>g>>*any-*","watchType":"WATCH","initializing":true}`)
	for _, want := range []int{20, 20, 5} {
		p := client.Next("ConfigFuzzyWatchSyncRequest")
		if got := strings.Count(words(t, p), "ADD_CONFIG"); got != want {
			t.Errorf("a batch has %d names, want %d: %s", got, want, p.Body)
		}
	}
	expect("FINISH_FUZZY_WATCH_INIT_NOTIFY 0")
	for body, code := range map[string]int{
		`{"groupKeyPattern":"g>>x"}`: 400, `{"groupKeyPattern":7}`: 400, `{}`: 400, `{"groupKeyPattern":"public>>>>x"}`: 400,
	} {
		if got := client.Call("ConfigFuzzyWatchRequest", body); got.ErrorCode != code {
			t.Errorf("%s = %s, want %d", body, got.Body, code)
		}
	}
	for i := range 19 {
		got := client.Call("ConfigFuzzyWatchRequest", fmt.Sprintf(`{"groupKeyPattern":"public>>none>>x%d","watchType":"WATCH"}`, i))
		if want := ifAny(i == 18, 50310); got.ErrorCode != want {
			t.Errorf("pattern %d = %s, want %d", i+3, got.Body, want)
		}
	}
}
