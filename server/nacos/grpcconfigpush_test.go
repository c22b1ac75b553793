package nacos_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// hearer is a connection that answers pushes as a test says.
type hearer struct {
	mu     sync.Mutex
	answer func(n int) (after time.Duration, err error) // nil: at once, and well
	heeds  func(dataID string)                          // what it does once it has acknowledged, if anything
	said   []string                                     // data ids, each with the second when it came
	resets int
	began  time.Time
}

// Push is that of a connection.
func (e *hearer) Push(typ string, body []byte, within time.Duration, done func(error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, rest, _ := strings.Cut(string(body), `"dataId":"`)
	id, _, _ := strings.Cut(rest, `"`)
	e.said = append(e.said, fmt.Sprintf("%s@%g", id, time.Since(e.began).Seconds()))
	after, err := time.Duration(0), error(nil)
	if e.answer != nil {
		after, err = e.answer(len(e.said))
	}
	if typ != "ConfigChangeNotifyRequest" {
		err = fmt.Errorf("%s is pushed", typ)
	}
	go func() {
		time.Sleep(min(after, within))
		done(err)
		if err == nil && e.heeds != nil {
			e.heeds(id)
		}
	}()
}

// Ask is that of a connection.
func (*hearer) Ask(_ string, _ []byte, _ time.Duration, done func([]byte, error)) {
	go done(nil, rpc.ErrUnacknowledged)
}

// Reset is that of a connection.
func (e *hearer) Reset(string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resets++
}

// hears returns what has it listen anew to a document with what stands, as clients do that
// were told of it.
func (e *hearer) hears(t *testing.T, w *world, l nacos.Listening) func(dataID string) {
	return func(dataID string) {
		d, _, err := w.center().Get(t.Context(), named(dataID))
		if err != nil {
			t.Error(err)
			return
		}
		if differs, err := l.Listen(e, false, config.Client{}, named(dataID), d.MD5); differs || err != nil {
			t.Errorf("listen to %s with what stands = %t, %v", dataID, differs, err)
		}
	}
}

// told returns what was pushed since it was asked last.
func (e *hearer) told() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	said := strings.Join(e.said, " ")
	e.said = nil
	return said
}

// bubble runs a test in virtual time with a world and its listening connections.
func bubble(t *testing.T, do func(t *testing.T, w *world, l nacos.Listening)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := nacos.ListeningOf(w.Handler)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := l.Run(ctx); err != nil {
				t.Errorf("Run = %v", err)
			}
		})
		t.Cleanup(func() { cancel(); running.Wait() })
		do(t, w, l)
	})
}

// named returns the key of a document in the public namespace.
func named(dataID string) config.Key {
	return config.Key{Namespace: config.DefaultNamespace, Group: "g", DataID: dataID}
}

// put publishes a document and returns its MD5.
func (w *world) put(t testing.TB, dataID, content string) string {
	t.Helper()
	d, _, err := w.center().Publish(t.Context(), config.Draft{Key: named(dataID), Content: []byte(content)})
	if err != nil {
		t.Fatal(err)
	}
	return d.MD5
}

func (w *world) center() *config.Center { return config.New(w.docs, config.Config{}) }

// TestListenersAreTold of what they do not have, and of nothing else.
func TestListenersAreTold(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, l nacos.Listening) {
		one := w.put(t, "a", "1")
		e := &hearer{began: time.Now()}
		listen := func(dataID, md5 string, want bool) {
			t.Helper()
			if differs, err := l.Listen(e, false, config.Client{IP: "192.0.2.1"}, named(dataID), md5); err != nil || differs != want {
				t.Errorf("listen to %s with %q = %t, %v, want %t", dataID, md5, differs, err, want)
			}
		}
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := e.told(); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		listen("a", one, false)
		listen("b", "", false)
		w.put(t, "other", "1")
		expect("")
		two := w.put(t, "a", "2")
		expect("a@0")
		listen("a", one, true) // it asks with what it still has, fetches, and asks again
		listen("a", two, false)
		w.put(t, "b", "1")
		expect("b@0")
		w.put(t, "a", "2") // the same content
		expect("")
		w.put(t, "a", "1")
		expect("a@0")
		w.put(t, "a", "2") // what it had when it asked last; it may have fetched the other one since
		expect("a@0")
		listen("a", two, false)
		l.Unlisten(e, named("a"))
		w.put(t, "a", "3")
		expect("")
		if connections, documents := l.Counts(); connections != 1 || documents != 1 {
			t.Errorf("%d connections listen to %d documents, want 1 to 1", connections, documents)
		}
		l.Left(e)
		w.put(t, "b", "2")
		expect("")
		if connections, documents := l.Counts(); connections != 0 || documents != 0 {
			t.Errorf("%d connections listen to %d documents, want none", connections, documents)
		}
	})
}

// TestPushesThatComeToNothing are made again, later and later, and given up.
func TestPushesThatComeToNothing(t *testing.T) {
	const never = time.Hour
	for name, c := range map[string]struct {
		answer func(n int) (time.Duration, error)
		deaf   bool
		idle   bool                                                       // it acknowledges, and does not listen anew
		then   func(t *testing.T, w *world, l nacos.Listening, e *hearer) // after the first push
		want   string
		resets int
		behind int // clients, in the end
	}{
		"it is slow":             {answer: func(int) (time.Duration, error) { return 2 * time.Second, nil }, want: "a@0"},
		"it comes after another": {answer: func(n int) (time.Duration, error) { return 0, ifAny(n == 1, rpc.ErrSlow) }, want: "a@0 a@2"},
		"it refuses twice":       {answer: func(n int) (time.Duration, error) { return 0, ifAny(n <= 2, rpc.ErrRefused) }, want: "a@0 a@2 a@6"},
		"it never says a word": {answer: func(int) (time.Duration, error) { return never, rpc.ErrUnacknowledged },
			want: "a@0 a@5 a@12 a@21 a@32 a@45 a@60 a@77 a@96 a@117", behind: 1},
		"a Go client acknowledges another one": {answer: func(n int) (time.Duration, error) {
			return ifAny(n > 1, never), ifAny(n > 1, rpc.ErrUnacknowledged)
		}, deaf: true, then: func(t *testing.T, w *world, _ nacos.Listening, _ *hearer) { w.put(t, "a", "3") },
			want: "a@0 a@0 a@5 a@12 a@21 a@32 a@45 a@60 a@77 a@96 a@117"},
		"it falls silent": {answer: func(n int) (time.Duration, error) {
			return ifAny(n > 1, never), ifAny(n > 1, rpc.ErrUnacknowledged)
		}, then: func(t *testing.T, w *world, _ nacos.Listening, _ *hearer) { w.put(t, "a", "3") },
			want: "a@0 a@0 a@5 a@12 a@21 a@32 a@45 a@60 a@77 a@96 a@117", resets: 1, behind: 1},
		"it asks in between": {answer: func(int) (time.Duration, error) { return never, rpc.ErrUnacknowledged },
			then: func(t *testing.T, _ *world, l nacos.Listening, e *hearer) {
				time.Sleep(4 * time.Second)
				if differs, err := l.Listen(e, false, config.Client{}, named("a"), ""); !differs || err != nil {
					t.Errorf("listen = %t, %v", differs, err)
				}
			}, want: "a@0"},
		"it changes under way": {answer: func(n int) (time.Duration, error) { return ifAny(n == 1, time.Second), nil }, idle: true,
			then: func(t *testing.T, w *world, _ nacos.Listening, _ *hearer) { w.put(t, "a", "3") }, want: "a@0 a@1 a@2 a@4 a@8 a@16"},
		"it acknowledges, and that is all": {idle: true, want: "a@0 a@1 a@3 a@7 a@15"},
		"it acknowledges, and it changes again": {idle: true, then: func(t *testing.T, w *world, _ nacos.Listening, _ *hearer) {
			time.Sleep(6 * time.Second)
			w.put(t, "a", "3")
		}, want: "a@0 a@1 a@3 a@6 a@7 a@9 a@13 a@21"},
		"it acknowledges, and listens after a while": {idle: true, then: func(t *testing.T, w *world, l nacos.Listening, e *hearer) {
			time.Sleep(6 * time.Second)
			e.hears(t, w, l)("a")
		}, want: "a@0 a@1 a@3"},
		"it acknowledges, and fetches": {idle: true, then: func(_ *testing.T, _ *world, l nacos.Listening, e *hearer) { l.Fetched(e, named("a"), "2") }, want: "a@0"},
		"it fetches, and acknowledges": {answer: func(int) (time.Duration, error) { return time.Second, nil }, idle: true,
			then: func(_ *testing.T, _ *world, l nacos.Listening, e *hearer) { l.Fetched(e, named("a"), "2") }, want: "a@0"},
		"it fetches, and it changes": {idle: true, then: func(t *testing.T, w *world, l nacos.Listening, e *hearer) {
			l.Fetched(e, named("a"), "2")
			w.put(t, "a", "3")
		}, want: "a@0 a@0 a@1 a@3 a@7 a@15"},
		"it fetches what was before": {idle: true, then: func(_ *testing.T, _ *world, l nacos.Listening, e *hearer) { l.Fetched(e, named("a"), "1") },
			want: "a@0 a@1 a@3 a@7 a@15"},
		"a Go client fetches": {idle: true, deaf: true, then: func(_ *testing.T, _ *world, l nacos.Listening, e *hearer) { l.Fetched(e, named("a"), "2") },
			want: "a@0 a@1 a@3 a@7 a@15"},
		"it fetches, and does not acknowledge": {answer: func(n int) (time.Duration, error) { return 0, ifAny(n <= 2, rpc.ErrRefused) }, idle: true,
			then: func(_ *testing.T, _ *world, l nacos.Listening, e *hearer) { l.Fetched(e, named("a"), "2") }, want: "a@0 a@2 a@6"},
		"it ends": {answer: func(int) (time.Duration, error) { return 0, rpc.ErrGone }, want: "a@0"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, l nacos.Listening) {
				e := &hearer{answer: c.answer, began: time.Now()}
				if !c.idle {
					e.heeds = e.hears(t, w, l)
				}
				if _, err := l.Listen(e, c.deaf, config.Client{}, named("a"), ""); err != nil {
					t.Fatal(err)
				}
				w.put(t, "a", "2")
				synctest.Wait()
				if c.then != nil {
					c.then(t, w, l, e)
				}
				time.Sleep(10 * time.Minute)
				if got := e.told(); got != c.want || e.resets != c.resets || nacos.Behind(w.Handler) != c.behind {
					t.Errorf("told %q and reset %d times, and %d are behind, want %q, %d and %d", got, e.resets, nacos.Behind(w.Handler), c.want, c.resets, c.behind)
				}
				if l.Left(e); nacos.Behind(w.Handler) != 0 {
					t.Errorf("%d are behind when none is there", nacos.Behind(w.Handler))
				}
			})
		})
	}
}

func ifAny[T any](is bool, v T) (none T) {
	if is {
		return v
	}
	return none
}

// TestManyDocumentsChangeAtOnce: they wait for their turn, and none is forgotten.
func TestManyDocumentsChangeAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, l nacos.Listening) {
		const n = 200
		e := &hearer{began: time.Now(), answer: func(int) (time.Duration, error) { return time.Second, nil }}
		e.heeds = e.hears(t, w, l)
		for i := range n {
			if _, err := l.Listen(e, false, config.Client{}, named(fmt.Sprint("d", i)), ""); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			w.put(t, fmt.Sprint("d", i), "1")
		}
		synctest.Wait()
		if first := len(strings.Fields(e.told())); first != 32 {
			t.Errorf("%d pushes wait for an acknowledgement, want 32", first)
		}
		time.Sleep(time.Minute)
		rest := strings.Fields(e.told())
		slices.Sort(rest)
		if len(slices.Compact(rest)) != n-32 {
			t.Errorf("%d more were told, want %d", len(rest), n-32)
		}
	})
}
