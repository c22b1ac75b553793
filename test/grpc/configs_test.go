package grpc_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
	"github.com/musterhq/muster/test/binary"
)

func docOf(n int) string { return fmt.Sprintf("document-%d.yaml", n) }

func sum(content string) string {
	s := md5.Sum([]byte(content))
	return hex.EncodeToString(s[:])
}

// reader is a client that listens to documents as an SDK does: told that one changed, it
// fetches it, and listens with what it has then.
type reader struct {
	t testing.TB

	mu      sync.Mutex
	conn    *rpctest.Client
	address string            // of its server
	has     map[string]string // MD5 of each document
	told    map[string]int    // how often it was told of a document
	at      func(doc string)  // called when it is told
}

func newReader(t testing.TB, address string, docs ...string) *reader {
	t.Helper()
	r := &reader{t: t, has: map[string]string{}, told: map[string]int{}}
	for _, d := range docs {
		r.has[d] = ""
	}
	r.connect(address)
	return r
}

// connect connects to a server and listens to all of its documents there.
func (r *reader) connect(address string) {
	r.t.Helper()
	conn := rpctest.Connect(r.t, address, rpctest.Options{Setup: rpctest.Setup{Version: "Nacos-Java-Client:v3.0.3"}})
	r.mu.Lock()
	r.conn, r.address = conn, address
	docs := slices.Collect(maps.Keys(r.has))
	r.mu.Unlock()
	r.listen(conn, docs...)
}

// call sends a message. What a server that died does not answer is no failure of the test.
func (r *reader) call(conn *rpctest.Client, request string, body, into any) bool {
	text, err := json.Marshal(body)
	if err != nil {
		r.t.Error(err)
		return false
	}
	a, err := conn.Try(context.Background(), rpc.Payload{Type: request, Body: text})
	if err != nil {
		return false
	}
	if err := json.Unmarshal(a.Body, into); err != nil || !a.Success {
		r.t.Errorf("%s %s = %s, %v", request, text, a.Body, err)
	}
	return true
}

// listen listens to documents, and fetches those of which the server has others.
func (r *reader) listen(conn *rpctest.Client, docs ...string) {
	contexts := make([]object, 0, len(docs))
	r.mu.Lock()
	for _, d := range docs {
		contexts = append(contexts, object{"dataId": d, "group": "g", "md5": r.has[d]})
	}
	r.mu.Unlock()
	var answer struct{ ChangedConfigs []struct{ DataID string } }
	if !r.call(conn, "ConfigBatchListenRequest", object{"listen": true, "configListenContexts": contexts}, &answer) {
		return
	}
	for _, d := range answer.ChangedConfigs {
		r.fetch(conn, d.DataID)
	}
}

// fetch is what it does when it is told.
func (r *reader) fetch(conn *rpctest.Client, doc string) {
	r.mu.Lock()
	r.told[doc]++
	at := r.at
	r.mu.Unlock()
	if at != nil {
		at(doc)
	}
	var answer struct{ Content, MD5 string }
	if !r.call(conn, "ConfigQueryRequest", object{"dataId": doc, "group": "g"}, &answer) {
		return
	}
	if answer.MD5 != sum(answer.Content) {
		r.t.Errorf("%s has the MD5 %s and the content %q", doc, answer.MD5, answer.Content)
	}
	r.mu.Lock()
	r.has[doc] = answer.MD5
	r.mu.Unlock()
	r.listen(conn, doc)
}

// hear takes pushes of the connection until it or ctx ends.
func (r *reader) hear(ctx context.Context) {
	r.mu.Lock()
	conn := r.conn
	r.mu.Unlock()
	for {
		select {
		case p := <-conn.Pushes():
			if p.Type != "ConfigChangeNotifyRequest" {
				continue
			}
			var of struct{ DataID string }
			if err := json.Unmarshal(p.Body, &of); err != nil {
				r.t.Error(err)
			}
			r.fetch(conn, of.DataID)
		case <-conn.Ended():
			return
		case <-ctx.Done():
			return
		}
	}
}

// lacks returns the first document of which it has another content, empty: there is none.
func (r *reader) lacks(want map[string]string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for d, has := range r.has {
		if has != sum(want[d]) {
			return d
		}
	}
	return ""
}

func publish(t testing.TB, c *rpctest.Client, doc, content string) {
	t.Helper()
	if a := c.Call("ConfigPublishRequest", object{"dataId": doc, "group": "g", "content": content}); !a.Success {
		t.Errorf("publish %s = %s", doc, a.Body)
	}
}

// A server of three dies, and who listened there goes to another one. What changes before it
// is back there, and after, each client is told once, wherever it is.
func TestListenersMoveToAnotherServer(t *testing.T) {
	t.Parallel()
	etcd, err := binary.BuildEtcd(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	free := func() string {
		port, err := freeport.Keep("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	store := binary.StartEtcd(t, etcd, free(), free())
	servers := make([]*binary.Server, 3)
	for n := range servers {
		servers[n] = binary.StartServer(t, binary.Muster(), "--etcd", store.URL, "--dns", "127.0.0.1:0")
	}
	const clients, documents = 9, 4
	content := map[string]string{}
	var docs []string
	for n := range documents {
		docs = append(docs, docOf(n))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var hearing sync.WaitGroup
	defer hearing.Wait()
	defer cancel()
	readers := make([]*reader, clients)
	for n := range readers {
		readers[n] = newReader(t, servers[n%3].GRPC, docs...)
		hearing.Go(func() { readers[n].hear(ctx) })
	}
	version := 0
	// change publishes a new version of documents by a server.
	change := func(by *binary.Server, docs ...string) {
		t.Helper()
		version++
		author := rpctest.Connect(t, by.GRPC, rpctest.Options{})
		defer author.Close()
		for _, d := range docs {
			content[d] = fmt.Sprintf("version: %d\n", version)
			publish(t, author, d, content[d])
		}
	}
	// once demands that every client has what there is, and was told of each document as
	// often as it changed.
	once := func(when string, times int) {
		t.Helper()
		for n, r := range readers {
			if !binary.Poll(time.Minute, func() bool { return r.lacks(content) == "" }, nil) {
				t.Fatalf("%s: client %d has another %s", when, n, r.lacks(content))
			}
			r.mu.Lock()
			for d, told := range r.told {
				if told != times {
					t.Errorf("%s: client %d was told %d times of %s, want %d", when, n, told, d, times)
				}
			}
			r.mu.Unlock()
		}
	}
	change(servers[0], docs...)
	once("at first", 1)
	die := 1
	if binary.Long() {
		die = len(servers)
	}
	for n := range die {
		dead, other := servers[n], servers[(n+1)%3]
		var lost []*reader
		for _, r := range readers {
			if r.address == dead.GRPC {
				lost = append(lost, r)
			}
		}
		if len(lost) == 0 {
			t.Fatalf("nobody is connected to server %d", n)
		}
		dead.Kill()
		change(other, docs[:2]...) // nobody of the lost is there
		for k, r := range lost {
			<-r.conn.Ended()
			r.connect(servers[(n+1+k%2)%3].GRPC)
			hearing.Go(func() { r.hear(ctx) })
		}
		change(other, docs[2:]...)
		once("after a server died", 2+2*n)
		change(servers[(n+2)%3], docs...)
		once("after another change", 3+2*n)
		if binary.Long() {
			dead.RestartServer()
		}
	}
}

// reading is how many listen to how much, and what changes meanwhile.
type reading struct {
	connections, each, documents int
	publishes                    int // a second
	time                         time.Duration
}

var (
	shortReading = reading{connections: 40, each: 20, documents: 100, publishes: 50, time: 2 * time.Second}
	longReading  = reading{connections: 1000, each: 20, documents: 1000, publishes: 50, time: time.Minute}
)

// Many connections listen to many documents, which change all the time. Each has the last
// content in the end, and was told soon.
func TestManyListen(t *testing.T) {
	t.Parallel()
	l := shortReading
	if binary.Long() {
		l = longReading
	}
	s := binary.StartServer(t, binary.Muster(), "--dns", "127.0.0.1:0", "--min-free", "0")
	author := rpctest.Connect(t, s.GRPC, rpctest.Options{})
	content := map[string]string{}
	for n := range l.documents {
		content[docOf(n)] = fmt.Sprintf("version: 0 of %d\n", n)
		publish(t, author, docOf(n), content[docOf(n)])
	}
	const resident = "process_resident_memory_bytes"
	before := metric(t, s, resident)
	ctx, cancel := context.WithCancel(t.Context())
	var hearing sync.WaitGroup
	defer hearing.Wait()
	defer cancel()
	readers := make([]*reader, l.connections)
	for n := range readers {
		var docs []string
		for k := range l.each {
			docs = append(docs, docOf((n*7+k*(l.documents/l.each))%l.documents))
		}
		readers[n] = newReader(t, s.GRPC, docs...)
	}
	memory := (metric(t, s, resident) - before) / float64(l.connections)
	var (
		mu    sync.Mutex
		since = map[string]time.Time{} // when a document was published; guarded by mu
		late  []time.Duration          // from then to a push; guarded by mu
	)
	for _, r := range readers {
		if lacks := r.lacks(content); lacks != "" {
			t.Fatalf("a client has another %s at first", lacks)
		}
		r.at = func(doc string) {
			mu.Lock()
			defer mu.Unlock()
			late = append(late, time.Since(since[doc]))
		}
		hearing.Go(func() { r.hear(ctx) })
	}
	// Several publish, each its own documents in their order: the store may take longer than a tick.
	type version struct{ doc, content string }
	authors := make([]chan version, 4)
	var publishing sync.WaitGroup
	for n := range authors {
		authors[n] = make(chan version, l.documents)
		publishing.Go(func() {
			for v := range authors[n] {
				publish(t, author, v.doc, v.content)
			}
		})
	}
	tick := time.NewTicker(time.Second / time.Duration(l.publishes))
	defer tick.Stop()
	published := 0
	for end := time.Now().Add(l.time); time.Now().Before(end); published++ {
		<-tick.C
		number := published * 3 % l.documents // 3 has no divisor in common with them
		doc := docOf(number)
		content[doc] = fmt.Sprintf("version: %d\n", published+1)
		mu.Lock()
		since[doc] = time.Now()
		mu.Unlock()
		authors[number%len(authors)] <- version{doc, content[doc]}
	}
	for _, a := range authors {
		close(a)
	}
	publishing.Wait()
	missing := func() (all []string) {
		for n, r := range readers {
			if doc := r.lacks(content); doc != "" {
				all = append(all, fmt.Sprintf("connection %d has another %s", n, doc))
			}
		}
		return all
	}
	if !binary.Poll(time.Minute, func() bool { return len(missing()) == 0 }, nil) {
		all := missing()
		t.Fatalf("%d connections lack something: %s", len(all), all[0])
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(late)
	p50, p99 := late[len(late)/2], late[len(late)*99/100]
	t.Logf("%d connections listen to %d of %d documents each, %d publishes in %s: told %d times, after %s at the median, %s at p99, %s at most; a connection takes %.1f KiB of resident memory",
		l.connections, l.each, l.documents, published, l.time, len(late), p50.Round(time.Microsecond), p99.Round(time.Microsecond), late[len(late)-1].Round(time.Microsecond), memory/1024)
	if binary.Long() && p99 > 500*time.Millisecond {
		t.Errorf("p99 is %s, over 500 ms", p99)
	}
}
