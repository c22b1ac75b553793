// Package listeners_test holds ten thousand long polls at a real server, as clients of
// Nacos hold them, and demands that a publish reaches those whom it concerns, and
// nobody else.
package listeners_test

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m, "../../..")) }

const (
	listeners = 10_000
	documents = 1000
	// hold is how long clients wait. Half a second before that an answer says that
	// nothing happened.
	hold = 120 * time.Second
	// patience is how long an answer may take on a machine that is busy with other
	// tests; the figures are logged.
	patience = time.Minute
)

// shared is the document that every client listens to, beside the one of its number.
const shared = "shared"

func own(i int) string { return fmt.Sprintf("document-%d", i%documents) }

// scene is a server, its documents and those who listen to them.
type scene struct {
	*server
	*crowd

	t   *testing.T
	md5 map[string]string // of each document, as clients know it
}

func TestListenersAreToldOfTheirDocuments(t *testing.T) {
	s := &scene{t: t, server: startServer(t, binary.Muster()), md5: make(map[string]string)}
	s.publishAll()
	before := s.resident()
	s.crowd = gather(t, s.HTTP, listeners)
	began := time.Now()
	for _, p := range s.polls {
		s.listen(p)
	}
	s.awaitPolls()
	t.Logf("%d polls held after %v", listeners, time.Since(began).Round(time.Millisecond))
	after := s.resident()
	t.Logf("memory of the server: %d MiB, with %d idle polls %d MiB: %.1f KiB a poll",
		before>>20, listeners, after>>20, float64(after-before)/listeners/1024)

	t.Run("those of one document", s.each)
	t.Run("all of them", s.storm)
	t.Run("none of them", s.bystanders)
	t.Logf("memory of the server at the end: %d MiB", s.resident()>>20)
}

// publishAll publishes every document for the first time.
func (s *scene) publishAll() {
	all := []string{shared}
	for i := range documents {
		all = append(all, own(i))
	}
	for _, id := range all {
		s.md5[id] = ""
	}
	s.publishEach(all, func(id string) string { return id + "=0" })
	for _, id := range all {
		s.md5[id] = sum(id + "=0")
	}
}

// listen has a client poll for its own and the shared document.
func (s *scene) listen(p *poll) {
	s.t.Helper()
	text := ""
	for _, id := range []string{own(p.number), shared} {
		text += id + "\x02" + group + "\x02" + s.md5[id] + "\x01"
	}
	s.send(p, "Listening-Configs="+url.QueryEscape(text))
}

// awaitPolls waits until the server holds all polls.
func (s *scene) awaitPolls() {
	s.t.Helper()
	s.AwaitFor(patience, "all polls are held", func() bool { return s.metric(polls) == float64(len(s.polls)) })
}

// tell publishes a document and returns how long each of those took to hear of it
// that listen to it, once all of them have. No other may hear anything.
func (s *scene) tell(t *testing.T, id, content string, want int) []time.Duration {
	t.Helper()
	began := time.Now()
	published := make(chan error, 1)
	go func() { published <- s.publish(id, content) }()
	var took []time.Duration
	var told []*poll
	for len(told) < want {
		heard := s.hear(began.Add(patience))
		if heard == nil {
			t.Fatalf("publish of %s: %d of %d listeners were told within %v", id, len(told), want, patience)
		}
		for _, a := range heard {
			if a.status == 200 && a.body == "" && a.at.Sub(a.sent) > hold-2*time.Second {
				s.listen(a.poll)
				continue
			}
			if id != shared && own(a.number) != id {
				t.Fatalf("client %d was told %q, and %s was published", a.number, a.body, id)
			}
			if text := id + "%02" + group + "%01\n"; a.status != 200 || a.body != text {
				t.Fatalf("client %d was answered %d %q, want 200 %q", a.number, a.status, a.body, text)
			}
			took = append(took, a.at.Sub(began))
			told = append(told, a.poll)
		}
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	s.md5[id] = sum(content)
	for _, p := range told {
		s.listen(p)
	}
	s.awaitPolls()
	return took
}

// repeats returns how often to publish: more often where figures are wanted.
func repeats(short, long int) int {
	if os.Getenv("MUSTER_LONG") != "" {
		return long
	}
	return short
}

func (s *scene) each(t *testing.T) {
	var took []time.Duration
	for n := range repeats(40, 400) {
		id := own(n * 7)
		took = append(took, s.tell(t, id, fmt.Sprintf("%s=%d", id, n+1), listeners/documents)...)
	}
	report(t, "publish to a document of 10 listeners until one is answered", took)
}

func (s *scene) storm(t *testing.T) {
	for n := range repeats(1, 10) {
		report(t, "publish to the document of all listeners until one is answered", s.tell(t, shared, fmt.Sprint("shared=", n+1), listeners))
	}
}

// bystanders publishes what nobody listens to: it costs the server little, and nobody
// is told.
func (s *scene) bystanders(t *testing.T) {
	n := repeats(200, 2000)
	began, busy := time.Now(), s.cpu()
	for i := range n {
		if err := s.publish("unheard-of", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d publishes to a document without listeners: %v and %v of the server's CPU each", n,
		(time.Since(began) / time.Duration(n)).Round(time.Microsecond), ((s.cpu() - busy) / time.Duration(n)).Round(time.Microsecond))
	if heard := s.hear(time.Now().Add(100 * time.Millisecond)); heard != nil {
		t.Errorf("client %d was answered %d %q", heard[0].number, heard[0].status, heard[0].body)
	}
}

func report(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	at := func(share int) time.Duration { return took[(len(took)-1)*share/100].Round(10 * time.Microsecond) }
	t.Logf("%s: p50 %v, p99 %v, max %v of %d", what, at(50), at(99), at(100), len(took))
}
