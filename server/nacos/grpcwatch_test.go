package nacos_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// watched returns a push about services in short.
func watched(t testing.TB, p rpctest.Push) string {
	t.Helper()
	var m struct {
		GroupKeyPattern, SyncType string
		Contexts                  []struct{ ServiceKey, ChangedType string }
		TotalBatch, CurrentBatch  int
		ServiceKey, ChangedType   string
	}
	if err := json.Unmarshal(p.Body, &m); err != nil {
		t.Fatalf("%s: %v", p.Body, err)
	}
	if p.Type == "NamingFuzzyWatchChangeNotifyRequest" {
		return m.SyncType + " " + m.ChangedType + " " + m.ServiceKey
	}
	var names []string
	for _, c := range m.Contexts {
		names = append(names, c.ChangedType+" "+c.ServiceKey)
	}
	slices.Sort(names)
	return strings.Join(append([]string{p.Type, m.SyncType, fmt.Sprint(m.TotalBatch)}, names...), " ")
}

// TestServicesAreWatchedByPattern: what there is, what comes and what goes.
func TestServicesAreWatchedByPattern(t *testing.T) {
	w, at := newGRPC(t)
	c, watcher := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{})
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	register(t, c, instanceOf("order-ui", "192.0.2.1"))
	register(t, c, instanceOf("billing", "192.0.2.1"))
	watch := func(first bool, known ...string) {
		t.Helper()
		must(t, watcher, "NamingFuzzyWatchRequest", "NamingFuzzyWatchResponse", object{"groupKeyPattern": "public>>DEFAULT_GROUP>>order-*",
			"watchType": "WATCH", "initializing": first, "receivedGroupKeys": append([]string{}, known...), "namespace": "public"}, nil)
	}
	expect := func(want string) {
		t.Helper()
		if got := watched(t, watcher.Next("")); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	watch(true)
	expect("NamingFuzzyWatchSyncRequest FUZZY_WATCH_INIT_NOTIFY 1 ADD_SERVICE public@@DEFAULT_GROUP@@order-api ADD_SERVICE public@@DEFAULT_GROUP@@order-ui")
	expect("NamingFuzzyWatchSyncRequest FINISH_FUZZY_WATCH_INIT_NOTIFY 0")
	register(t, c, instanceOf("order-api", "192.0.2.2")) // the service is there, as before
	register(t, c, instanceOf("other", "192.0.2.1"))
	register(t, c, instanceOf("order-log", "192.0.2.1"))
	expect("FUZZY_WATCH_RESOURCE_CHANGED ADD_SERVICE public@@DEFAULT_GROUP@@order-log")
	register(t, c, deregisterOf("order-ui", "192.0.2.1"))
	if _, err := w.reg.DeleteService(t.Context(), registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "order-ui"}); err != nil {
		t.Fatal(err)
	}
	expect("FUZZY_WATCH_RESOURCE_CHANGED DELETE_SERVICE public@@DEFAULT_GROUP@@order-ui")
	watch(false, "public@@DEFAULT_GROUP@@order-api", "public@@DEFAULT_GROUP@@order-gone", "no key")
	expect("NamingFuzzyWatchSyncRequest FUZZY_WATCH_DIFF_SYNC_NOTIFY 1 ADD_SERVICE public@@DEFAULT_GROUP@@order-log DELETE_SERVICE public@@DEFAULT_GROUP@@order-gone")
}

// A watch that is cancelled and made anew is told one thing at a time, whatever becomes of
// what was told before.
func TestWatchesThatAreMadeAnew(t *testing.T) {
	_, at := newGRPC(t)
	c, watcher := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{Manual: true})
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	say := func(what string) {
		t.Helper()
		must(t, watcher, "NamingFuzzyWatchRequest", "NamingFuzzyWatchResponse", object{"groupKeyPattern": "public>>DEFAULT_GROUP>>order-*",
			"watchType": what, "initializing": true, "receivedGroupKeys": []string{}}, nil)
	}
	const begins = "NamingFuzzyWatchSyncRequest FUZZY_WATCH_INIT_NOTIFY 1 ADD_SERVICE public@@DEFAULT_GROUP@@order-api"
	next := func(want string) rpctest.Push {
		t.Helper()
		p := watcher.Next("")
		if got := watched(t, p); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		return p
	}
	say("WATCH")
	before := next(begins)
	say("CANCEL_WATCH")
	say("WATCH")
	now := next(begins)
	before.Ack()
	now.Ack()
	next("NamingFuzzyWatchSyncRequest FINISH_FUZZY_WATCH_INIT_NOTIFY 0").Ack()
}

// What clients say that they know is kept while they watch, and bounded in all.
func TestWatchesOfTooManyNames(t *testing.T) {
	w := newWorld(t)
	names := nacos.BoundWatches(w.Handler, 30)
	at := w.serveGRPC(t)
	c, other := rpctest.Connect(t, at, rpctest.Options{Manual: true}), rpctest.Connect(t, at, rpctest.Options{})
	for _, name := range []string{"order-api", "order-log", "order-ui"} {
		register(t, c, instanceOf(name, "192.0.2.1"))
	}
	watch := func(c *rpctest.Client, of string, known, code int) {
		t.Helper()
		var all []string
		for n := range known {
			all = append(all, fmt.Sprintf("public@@DEFAULT_GROUP@@%s-%d", of, n))
		}
		got := c.Call("NamingFuzzyWatchRequest", object{"groupKeyPattern": "public>>DEFAULT_GROUP>>" + of + "-*", "initializing": true, "receivedGroupKeys": all})
		if got.ErrorCode != code {
			t.Errorf("a watch of %s with %d names = %s, want code %d", of, known, got.Body, code)
		}
	}
	watch(c, "none", 10, 0)
	c.Next("NamingFuzzyWatchSyncRequest") // that all of them are gone: they are kept twice
	watch(other, "none", 9, 0)
	watch(other, "gone", 2, 503)
	watch(other, "order", 0, 0)
	if got := names(); got != 29 {
		t.Errorf("%d names are kept, want 29", got)
	}
	c.Close()
	for told := ""; !strings.Contains(told, "ADD_SERVICE public@@DEFAULT_GROUP@@order-ui"); { // there is room now
		told = watched(t, other.Next("NamingFuzzyWatchSyncRequest"))
	}
	other.Close()
	for names() > 0 {
		if t.Context().Err() != nil {
			t.Fatal("names are kept of nobody")
		}
		<-time.After(time.Millisecond)
	}
}
