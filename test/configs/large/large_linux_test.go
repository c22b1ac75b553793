// Package large_test keeps very many documents, and a very long one, in a real
// server.
package large_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/test/binary"
)

var countFlag = flag.Int("large.documents", 20000, "how many documents there are")

// root is the folder of the module, seen from this package.
const root = "../../.."

func TestMain(m *testing.M) { os.Exit(binary.Main(m, root)) }

const (
	clients  = 64
	longest  = 10 << 20
	needle   = "the-one-that-is-sought"
	patience = 5 * time.Second // for a restart
)

// center is the configuration centre of a real server.
type center struct {
	t      *testing.T
	server *binary.Server
	http   *http.Client
}

func (c *center) call(method, path string, body []byte) (int, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+c.server.HTTP+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Error(err)
		return 0, nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Error(err)
	}
	return resp.StatusCode, answer
}

// put publishes a document, over moments in which a busy machine has the server think
// that its etcd is away.
func (c *center) put(name string, content []byte) {
	c.t.Helper()
	status, answer := 0, []byte(nil)
	binary.Poll(time.Minute, func() bool {
		status, answer = c.call(http.MethodPut, "/v1/configs/public/DEFAULT_GROUP/"+name, content)
		return status != http.StatusServiceUnavailable
	}, nil)
	if status != http.StatusOK {
		c.t.Errorf("PUT %s = %d %.200s", name, status, answer)
	}
}

// fill publishes documents from many clients and tells how long each took.
func (c *center) fill(documents int) []time.Duration {
	c.t.Helper()
	took := make([]time.Duration, documents)
	var next atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < documents; i = int(next.Add(1)) - 1 {
				began := time.Now()
				c.put(name(i), []byte(fmt.Sprintf("number=%d\nname=%s\nurl=jdbc:mysql://db-%d.example.org/app\n%s", i, name(i), i%100, mark(i, documents))))
				took[i] = time.Since(began)
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

func name(i int) string { return fmt.Sprintf("service-%06d.properties", i) }

// mark is in the content of one document only.
func mark(i, documents int) string {
	if i == documents/3 {
		return needle
	}
	return ""
}

// found asks for a list and tells how many documents there are of it, and the
// names on its page.
func (c *center) found(what string, query url.Values) (total int, names []string) {
	c.t.Helper()
	began, worked := time.Now(), c.worked()
	status, answer := c.call(http.MethodGet, "/v1/configs?"+query.Encode(), nil)
	c.t.Logf("%s: %v, with %v of processors", what, time.Since(began).Round(100*time.Microsecond), c.worked()-worked)
	var list struct {
		Total   int
		Configs []struct{ DataID string }
	}
	if err := json.Unmarshal(answer, &list); err != nil || status != http.StatusOK {
		c.t.Fatalf("%s = %d %.200s, %v", what, status, answer, err)
	}
	for _, d := range list.Configs {
		names = append(names, d.DataID)
	}
	return list.Total, names
}

// processes returns the ids of the server's processes, its own first.
func (c *center) processes() []int {
	c.t.Helper()
	pid := c.server.PID()
	all := []int{pid}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, thread := range threads {
		children, _ := os.ReadFile(thread) // a thread may end
		for child := range strings.FieldsSeq(string(children)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				c.t.Fatal(err)
			}
			all = append(all, n)
		}
	}
	return all
}

// memory tells what the server takes, and its etcd.
func (c *center) memory() string {
	c.t.Helper()
	all := c.processes()
	etcd := 0
	for _, pid := range all[1:] {
		etcd += c.resident(pid)
	}
	return fmt.Sprintf("%d MiB, its etcd %d MiB", c.resident(all[0]), etcd)
}

// worked returns the time of processors that the server and its etcd have had,
// which tells more than time where others work too.
func (c *center) worked() time.Duration {
	c.t.Helper()
	var ticks int64
	for _, pid := range c.processes() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			c.t.Fatal(err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
		for _, field := range fields[12:14] { // user and system, in hundredths of a second
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func (c *center) resident(pid int) int {
	c.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		c.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		c.t.Fatal(err)
	}
	return kib >> 10
}

// A server that holds very many documents and a very long one finds them, by name
// and by content, and is ready again in seconds.
func TestManyDocumentsAndALongOne(t *testing.T) {
	documents := *countFlag
	dns, err := freeport.Keep("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	c := &center{t: t, server: binary.StartServer(t, binary.Muster(), "--dns", fmt.Sprint("127.0.0.1:", dns), "--min-free", "0"),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}}
	t.Logf("memory of an empty server: %s", c.memory())
	began, worked := time.Now(), c.worked()
	took := c.fill(documents)
	t.Logf("%d documents from %d clients in %v with %v of processors, %.0f/s: half of them within %v, 99 %% within %v", documents, clients,
		time.Since(began).Round(time.Millisecond), c.worked()-worked, float64(documents)/time.Since(began).Seconds(), took[documents/2], took[documents*99/100])
	long := bytes.Repeat([]byte("0123456789abcde\n"), longest/16)
	copy(long[longest/2:], "deep-within")
	began = time.Now()
	c.put("long", long)
	t.Logf("a document of %d MiB is published in %v", longest>>20, time.Since(began).Round(time.Millisecond))
	t.Logf("memory with all: %s", c.memory())

	c.look(documents, long)
	for range 3 {
		c.server.Stop()
		began = time.Now()
		c.server.RestartServer()
		ready := time.Since(began)
		worked := c.worked() // where others work too, what it took of processors tells
		t.Logf("ready %v after the start, with %v of processors; memory: %s", ready.Round(time.Millisecond), worked, c.memory())
		if ready > patience && worked > patience {
			t.Errorf("ready %v after the start, want %v at most", ready, patience)
		}
	}
	c.look(documents, long)
	t.Logf("memory after contents were asked for: %s", c.memory())
}

// look finds what there is in every way.
func (c *center) look(documents int, long []byte) {
	c.t.Helper()
	for _, test := range []struct {
		what  string
		query url.Values
		total int
		first string
	}{
		{"the first page", url.Values{"size": {"10"}}, documents + 1, "long"},
		{"a page in the middle", url.Values{"size": {"10"}, "page": {strconv.Itoa(documents/20 + 1)}}, documents + 1, name(documents/2 - 1)},
		{"by a part of the name", url.Values{"dataId": {"*7.properties"}}, documents / 10, name(7)},
		{"by content", url.Values{"content": {needle}}, 1, name(documents / 3)},
		{"by content of the long one", url.Values{"content": {"deep-within"}}, 1, "long"},
		{"by content that most have", url.Values{"content": {"jdbc:mysql"}, "size": {"10"}}, documents, name(0)},
		{"by content that none has", url.Values{"content": {"nowhere"}}, 0, ""},
	} {
		test.query.Set("namespace", "public")
		total, names := c.found(test.what, test.query)
		if total != test.total || total > 0 && (len(names) == 0 || names[0] != test.first) {
			c.t.Errorf("%s: %d documents from %.3q on, want %d from %s on", test.what, total, names, test.total, test.first)
		}
	}
	want := md5.Sum(long)
	began := time.Now()
	status, content := c.call(http.MethodGet, "/v1/configs/public/DEFAULT_GROUP/long", nil)
	c.t.Logf("the long document is read in %v", time.Since(began).Round(time.Millisecond))
	if got := md5.Sum(content); status != http.StatusOK || got != want {
		c.t.Errorf("the long document = %d, MD5 %s, want %s", status, hex.EncodeToString(got[:]), hex.EncodeToString(want[:]))
	}
}
