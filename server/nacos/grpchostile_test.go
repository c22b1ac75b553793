package nacos_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// A page that is far behind the last one is empty, whatever its number.
func TestPagesOfAnyNumber(t *testing.T) {
	_, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{})
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	for q, want := range map[string]int{
		`{"pageNo":0,"pageSize":10}`:                   1,
		`{"pageNo":1,"pageSize":9223372036854775807}`:  1,
		`{"pageNo":2,"pageSize":9223372036854775807}`:  0,
		`{"pageNo":4611686018427387905,"pageSize":2}`:  0,
		`{"pageNo":9223372036854775807,"pageSize":0}`:  0,
		`{"pageNo":99999999999999999999,"pageSize":1}`: 0,
	} {
		var page struct {
			Count int
			Names []string `json:"serviceNames"`
		}
		if must(t, c, "ServiceListRequest", "ServiceListResponse", []byte(q), &page); page.Count != 1 || len(page.Names) != want {
			t.Errorf("%s = %+v, want %d of 1", q, page, want)
		}
	}
}

// many returns n entries of a list, each followed by a comma but the last.
func many(n int, entry string) string { return strings.Repeat(entry+",", n-1) + entry }

// A few bytes of a message are many in memory, and who sends it may have no right to what
// it names.
func TestListsThatAreTooLong(t *testing.T) {
	_, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{})
	const (
		batch   = `{"serviceName":"s","type":"batchRegisterInstance","instances":[%s]}`
		listen  = `{"configListenContexts":[%s]}`
		watch   = `{"groupKeyPattern":"public>>*>>a*","receivedGroupKeys":[%s]}`
		host    = `{"serviceName":"s","type":"registerInstance","instance":{"ip":"192.0.2.1","port":1,"metadata":{%s}}}`
		publish = `{"dataId":"d","group":"g","content":"c","additionMap":{%s}}`
		strange = `{"dataId":"a,]\\\"},","group":"g","x":[{},{"y":[1,2]}]}` // is one entry, however it looks
	)
	for name, q := range map[string]struct {
		request, body string
		code          int
	}{
		"instances":                 {"BatchInstanceRequest", fmt.Sprintf(batch, many(3<<20, `{}`)), 400},
		"documents":                 {"ConfigBatchListenRequest", fmt.Sprintf(listen, many(3<<20, `{}`)), 400},
		"documents that are enough": {"ConfigBatchListenRequest", fmt.Sprintf(listen, many(10_000, strange)), 0},
		"one more":                  {"ConfigBatchListenRequest", fmt.Sprintf(listen, many(10_001, strange)), 400},
		"names":                     {"NamingFuzzyWatchRequest", fmt.Sprintf(watch, many(3<<20, `""`)), 50311},
		"names that are none":       {"NamingFuzzyWatchRequest", fmt.Sprintf(watch, `{}`), 400},
		"metadata":                  {"InstanceRequest", fmt.Sprintf(host, many(2<<20, `"":1`)), 400},
		"more of a document":        {"ConfigPublishRequest", fmt.Sprintf(publish, many(2<<20, `"":1`)), 400},
	} {
		t.Run(name, func(t *testing.T) {
			var was, is runtime.MemStats
			runtime.ReadMemStats(&was)
			got := c.Call(q.request, q.body)
			runtime.ReadMemStats(&is)
			if got.ErrorCode != q.code {
				t.Errorf("%s = %s %.200s, want code %d", q.request, got.Type, got.Body, q.code)
			}
			if took, most := is.TotalAlloc-was.TotalAlloc, uint64(80<<20); took > most { // its client's share is 30 MiB
				t.Errorf("%d KiB take %d MiB, want %d at most", len(q.body)>>10, took>>20, most>>20)
			}
		})
	}
}

// Of what is subscribed and listened to no more is kept than its names.
func TestLongTextsAreNotKept(t *testing.T) {
	_, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{})
	const (
		subscribes = `{"serviceName":"s%d%s","subscribe":true,"clusters":"%s"}`
		listens    = `{"configListenContexts":[{"dataId":"d%d%s","group":"g","tenant":"%s","md5":"%s"}]}`
		registers  = `{"serviceName":"r%d%s","type":"registerInstance","instance":{"ip":"192.0.2.1","port":1}}`
	)
	long, blank := strings.Repeat("x", 1<<20), strings.Repeat(" ", 1<<20)
	for name, q := range map[string]struct {
		request string
		body    func(n int) string
		code    int
	}{
		"clusters":                 {"SubscribeServiceRequest", func(n int) string { return fmt.Sprintf(subscribes, n, "", long) }, 400},
		"a service before blanks":  {"SubscribeServiceRequest", func(n int) string { return fmt.Sprintf(subscribes, n, blank, "") }, 0},
		"the same that is held":    {"InstanceRequest", func(n int) string { return fmt.Sprintf(registers, n, blank) }, 0},
		"an MD5":                   {"ConfigBatchListenRequest", func(n int) string { return fmt.Sprintf(listens, n, "a", "", long) }, 0},
		"a document before blanks": {"ConfigBatchListenRequest", func(n int) string { return fmt.Sprintf(listens, n, "b"+blank, "", "") }, 0},
		"a tenant after blanks":    {"ConfigBatchListenRequest", func(n int) string { return fmt.Sprintf(listens, n, "c", blank+"dev", blank+"1") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := inUse()
			for n := range 16 {
				if got := c.Call(q.request, q.body(n)); got.ErrorCode != q.code {
					t.Fatalf("%s = %s %.200s, want code %d", q.request, got.Type, got.Body, q.code)
				}
			}
			if is := inUse(); is > before+8<<20 {
				t.Errorf("of 16 MiB of texts %d are kept", (is-before)>>20)
			}
		})
	}
}

// inUse returns how much memory is.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools keep, too
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
