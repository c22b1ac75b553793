package nacos_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos"
)

const (
	listen  = "POST /nacos/v1/cs/configs/listener Listening-Configs="
	md5Of1  = "c4ca4238a0b923820dcc509a6f75849b"
	publish = "POST " + doc + " content=1"
)

// probe writes a listener's text from documents of three or four words.
func probe(documents ...[]string) string {
	var b strings.Builder
	for _, words := range documents {
		b.WriteString(strings.Join(words, "\x02") + "\x01")
	}
	return url.QueryEscape(b.String())
}

func TestListenerAnswersAtOnce(t *testing.T) {
	poll := "Long-Pulling-Timeout: 30000"
	runAll(t, []scenario{
		{"what differs is named as the client named it", []step{
			ask(publish, "200"),
			ask("POST "+doc+"&tenant=t content=1", "200"),
			ask(listen+probe([]string{"d", "g", "old"}), "200", "=d%02g%01\n", ":Cache-Control: no-cache,no-store").with(poll),
			ask(listen+probe([]string{"d", "g", "", ""}), "200", "=d%02g%01\n").with(poll),
			ask(listen+probe([]string{"d", "g", "old", "t"}), "200", "=d%02g%02t%01\n").with(poll),
			ask(listen+probe([]string{"d", "g", "old", "public"}), "200", "=d%02g%02public%01\n").with(poll),
			ask(listen+probe([]string{"d", "g", md5Of1}, []string{"d", "g", "old", "t"}, []string{"gone", "g", md5Of1}), "200",
				"=d%02g%02t%01gone%02g%01\n").with(poll),
		}},
		{"what was encoded twice is understood", []step{
			ask(publish, "200"),
			ask(listen+url.QueryEscape("d%02g%02old%01"), "200", "=d%02g%01\n").with(poll),
		}},
		{"without hanging up nothing is held", []step{
			ask(publish, "200"),
			ask(listen+probe([]string{"d", "g", md5Of1}), "200", "=").with(poll, "Long-Pulling-Timeout-No-Hangup: true"),
			ask(listen+probe([]string{"d", "g", "old"}), "200", "=d%02g%01\n").with(poll, "Long-Pulling-Timeout-No-Hangup: true"),
			ask(listen+probe([]string{"none", "g", ""}), "200", "=").with(poll, "Long-Pulling-Timeout-No-Hangup: true"),
		}},
		{"without long polling the answer is in headers, for old clients", []step{
			ask(publish, "200"),
			ask(listen+probe([]string{"d", "g", "old"}), "200", "=", ":Probe-Modify-Response: d:g;", ":Probe-Modify-Response-New: d%02g%01"),
			ask(listen+probe([]string{"d", "g", md5Of1}), "200", "=", ":Probe-Modify-Response: "),
			ask(listen+probe([]string{"d", "g", "old"}), "200", "=", ":Probe-Modify-Response: ").with("Client-Version: 2.0.4"),
		}},
		{"a text that is no list of documents is refused", []step{
			ask("POST /nacos/v1/cs/configs/listener", "400", "=caused: invalid probeModify;").with(poll),
			ask(listen, "400", "=caused: invalid probeModify;").with(poll),
			ask(listen+probe([]string{"d", "g", "m", "t", "x"}), "400", "=caused: invalid probeModify;").with(poll),
			ask(listen+probe([]string{"d", "g"}), "400", "=caused: invalid probeModify;").with(poll),
			ask(listen+strings.Repeat(probe([]string{"d", "g", ""}), 10001), "400", "=caused: invalid probeModify;").with(poll),
			ask(listen+probe([]string{"d", "g", ""}), "400").with("Long-Pulling-Timeout: soon"),
		}},
	})
}

// poll is a long poll under way in virtual time.
type poll struct {
	rec    *httptest.ResponseRecorder
	cancel context.CancelFunc
	took   time.Duration
	done   chan struct{}
}

func startPoll(t *testing.T, w *world, timeout string, documents ...[]string) *poll {
	t.Helper()
	return startPollAs(t, w, "", timeout, documents...)
}

// startPollAs is startPoll by who has a token.
func startPollAs(t *testing.T, w *world, token, timeout string, documents ...[]string) *poll {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &poll{rec: httptest.NewRecorder(), cancel: cancel, done: make(chan struct{})}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/nacos/v1/cs/configs/listener", strings.NewReader("Listening-Configs="+probe(documents...)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Long-Pulling-Timeout", timeout)
	req.Header.Set("accessToken", token)
	began := time.Now()
	go func() {
		defer close(p.done)
		w.ServeHTTP(p.rec, req)
		p.took = time.Since(began)
	}()
	return p
}

func publishDoc(t *testing.T, w *world, id, content string) {
	t.Helper()
	_, _, err := config.New(w.docs, config.Config{}).Publish(t.Context(), config.Draft{
		Key: config.Key{Namespace: "public", Group: "g", DataID: id}, Content: []byte(content)})
	if err != nil {
		t.Fatal(err)
	}
}

func TestListenerIsHeld(t *testing.T) {
	for _, tc := range []struct {
		name, timeout string
		want          time.Duration
	}{
		{"half a second less than its client waits", "30000", 29500 * time.Millisecond},
		{"ten seconds at least", "1000", 10 * time.Second},
		{"not for ever", "2000000000", 2 * time.Minute},
		{"ten seconds when it makes no sense", "-5", 10 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := startPoll(t, w, tc.timeout, []string{"d", "g", ""})
				<-p.done
				if p.took != tc.want || p.rec.Code != 200 || p.rec.Body.Len() != 0 {
					t.Errorf("poll = %d %q after %v, want 200 and nothing after %v", p.rec.Code, p.rec.Body, p.took, tc.want)
				}
			})
		})
	}
}

func TestListenerIsAnsweredWhenItsDocumentChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		md5 := ""
		for _, change := range []func(){
			func() { publishDoc(t, w, "d", "1") },
			func() { publishDoc(t, w, "d", "2") },
			func() {
				if _, _, err := config.New(w.docs, config.Config{}).Delete(t.Context(), config.Key{Namespace: "public", Group: "g", DataID: "d"}, config.Condition{}, config.Author{}); err != nil {
					t.Fatal(err)
				}
			},
		} {
			p := startPoll(t, w, "30000", []string{"d", "g", md5, "public"}, []string{"other", "g", ""})
			time.Sleep(5 * time.Second)
			publishDoc(t, w, "unrelated", "x")
			synctest.Wait()
			if n, _ := w.Held(); n != 1 {
				t.Fatalf("%d polls are held after an unrelated change, want 1", n)
			}
			change()
			<-p.done
			if p.took != 5*time.Second || p.rec.Body.String() != "d%02g%02public%01\n" {
				t.Errorf("poll = %q after %v, want the document after 5s", p.rec.Body, p.took)
			}
			md5 = w.docs.View().Snapshot().MD5(config.Key{Namespace: "public", Group: "g", DataID: "d"}, config.Client{})
			quiet := startPoll(t, w, "30000", []string{"d", "g", md5, "public"})
			<-quiet.done
			if quiet.rec.Body.Len() != 0 {
				t.Errorf("poll with the new digest = %q, want nothing", quiet.rec.Body)
			}
		}
	})
}

// A poll is answered by what its caller may read at its end.
func TestHeldPollIsJudgedAgain(t *testing.T) {
	policy, err := access.NewPolicy(map[string][]access.Rule{"reads": {{Kind: access.Config, Namespace: "*", Group: "*", Verbs: "r"}}, "none": nil})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		who := &guests{tokens: map[string]access.Subject{}, policy: policy}
		for _, name := range []string{"stays", "gone", "barred"} {
			who.tokens[name] = access.Subject{Type: access.User, Name: name, Roles: []string{"reads"}}
		}
		w := newWorld(t, func(c *nacos.Config) { c.Gate = &access.Gate{Who: who} })
		polls := map[string]*poll{}
		for name := range who.tokens {
			polls[name] = startPollAs(t, w, name, "30000", []string{"d", "g", ""})
		}
		synctest.Wait()
		who.forget("gone")
		who.tokens["barred"] = access.Subject{Type: access.User, Name: "barred", Roles: []string{"none"}}
		publishDoc(t, w, "d", "1")
		for name, want := range map[string]int{"stays": http.StatusOK, "gone": http.StatusForbidden, "barred": http.StatusForbidden} {
			p := polls[name]
			if <-p.done; p.rec.Code != want || (want == http.StatusOK) != (p.rec.Body.String() == "d%02g%01\n") {
				t.Errorf("the poll of %s = %d %q, want %d", name, p.rec.Code, p.rec.Body, want)
			}
		}
	})
}

func TestSameContentAgainWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		publishDoc(t, w, "d", "1")
		p := startPoll(t, w, "20000", []string{"d", "g", md5Of1})
		synctest.Wait()
		publishDoc(t, w, "d", "1")
		if <-p.done; p.rec.Body.Len() != 0 || p.took != 19500*time.Millisecond {
			t.Errorf("poll = %q after %v, want nothing after 19.5s", p.rec.Body, p.took)
		}
	})
}

func TestTenThousandListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		polls := make([]*poll, 10000)
		for i := range polls {
			polls[i] = startPoll(t, w, "30000", []string{"d", "g", ""}, []string{"e", "g", ""})
		}
		synctest.Wait()
		if n, bodies := w.Held(); n != len(polls) || bodies != 0 {
			t.Fatalf("held %d polls and %d bytes of bodies, want %d and none", n, bodies, len(polls))
		}
		publishDoc(t, w, "d", "1")
		for _, p := range polls {
			if <-p.done; p.rec.Body.String() != "d%02g%01\n" {
				t.Fatalf("poll = %q, want the document", p.rec.Body)
			}
		}
	})
}

func TestPollsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *nacos.Config) { c.MaxPolls = 4 })
		held := []*poll{
			startPoll(t, w, "30000", []string{"d", "g", ""}),
			startPoll(t, w, "30000", []string{"d", "g", ""}),
		}
		synctest.Wait()
		over := startPoll(t, w, "30000", []string{"d", "g", ""})
		if <-over.done; over.rec.Code != 503 || over.took != 0 {
			t.Errorf("third poll of one client = %d after %v, want 503 at once", over.rec.Code, over.took)
		}
		held[0].cancel()
		<-held[0].done
		again := startPoll(t, w, "30000", []string{"d", "g", ""})
		synctest.Wait()
		if n, _ := w.Held(); n != 2 {
			t.Errorf("%d polls are held after one left and one came, want 2", n)
		}
		w.Drain()
		w.Drain()
		for _, p := range []*poll{held[1], again} {
			if <-p.done; p.rec.Code != 200 || p.rec.Body.Len() != 0 {
				t.Errorf("poll of a server that drains = %d %q, want 200 and nothing", p.rec.Code, p.rec.Body)
			}
		}
		late := startPoll(t, w, "30000", []string{"d", "g", ""})
		if <-late.done; late.took != 0 {
			t.Errorf("poll after draining took %v, want none", late.took)
		}
	})
}

// A server's own deadlines are for ordinary calls; a poll outlives them.
func TestPollOutlivesTheDeadlinesOfTheServer(t *testing.T) {
	w := newWorld(t, func(c *nacos.Config) { c.MinHold = 50 * time.Millisecond })
	server := httptest.NewUnstartedServer(w)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	server.Start()
	defer server.Close()

	began := time.Now()
	got := do(t, server.URL, listen+probe([]string{"d", "g", ""}), "Long-Pulling-Timeout: 1200")
	if took := time.Since(began); got.status != 200 || got.body != "" || took < 650*time.Millisecond || took > 5*time.Second {
		t.Errorf("poll = %d %q after %v, want 200 and nothing after 0.7s", got.status, got.body, took)
	}

	answered := make(chan struct{})
	go func() {
		defer close(answered)
		got = do(t, server.URL, listen+probe([]string{"d", "g", ""}), "Long-Pulling-Timeout: 30000")
	}()
	for n := 0; n == 0; n, _ = w.Held() {
		select {
		case <-answered:
			t.Fatalf("poll = %d %q before it was held", got.status, got.body)
		default:
			runtime.Gosched()
		}
	}
	publishDoc(t, w, "d", "1")
	<-answered
	if got.body != "d%02g%01\n" {
		t.Errorf("poll = %d %q, want the document", got.status, got.body)
	}
}

func TestVersionsOfClients(t *testing.T) {
	for version, want := range map[string]bool{
		"": false, "2.0.0": false, "2.0.3": false, "1.4.8": false, "Nacos-Java-Client:v1.4.8": false, "x": false, "2": false,
		"2.0.4": true, "2.1.0-SNAPSHOT": true, "Nacos-Java-Client:v2.0.4": true, "3.0.1": true, "2.0.10": true,
	} {
		if got := nacos.NewerThan204(version); got != want {
			t.Errorf("NewerThan204(%q) = %t, want %t", version, got, want)
		}
	}
}
