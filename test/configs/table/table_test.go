package table_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/strange"
	"github.com/musterhq/muster/test/wire"
)

// TestCalls runs the cases. Each has names of its own, so that none depends on
// another.
func TestCalls(t *testing.T) {
	t.Parallel()
	server := start(t)
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("cases: %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			run(t, file, server)
		})
	}
}

// TestSealed runs the cases of a server that encrypts what it stores.
func TestSealed(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	if out, err := exec.CommandContext(t.Context(), binary.Muster(), "config", "key", "init", keys).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	run(t, "testdata/alone/sealed.txt", start(t, "--config-key", keys))
}

func start(t *testing.T, args ...string) *binary.Server {
	t.Helper()
	return binary.StartServer(t, binary.Muster(), append([]string{"--dns", "127.0.0.1:0"}, args...)...)
}

// run runs the cases of a file.
func run(t *testing.T, file string, server *binary.Server) {
	t.Helper()
	wire.Run(t, wire.Load(t, file), wire.Config{Address: server.HTTP, Values: values,
		State: func(v map[string]string) (string, error) { return state(t, server.HTTP, v) }})
}

var number atomic.Int64

// values returns what is a case's own: a data id that may be in any namespace and
// group, two namespaces, and an address. The rest are digests: hello, new and beta
// are contents.
func values() map[string]string {
	n := number.Add(1)
	return map[string]string{
		"d":     fmt.Sprintf("d%d.x", n), // ends so that d1 is no part of d10
		"ns":    fmt.Sprintf("ns-%d", n),
		"other": fmt.Sprintf("other-%d", n),
		"ip":    fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255),
		"hello": "5d41402abc4b2a76b9719d911017c592",
		"new":   "22af645d1859cb5ca6da0c484f1f37ea",
		"beta":  "987bcab01b929eb2c07877b224215c92",
	}
}

// state returns all that a case may have written, as our own API shows it: its
// documents, their history with that of gray releases, and quotas.
func state(t *testing.T, address string, v map[string]string) (string, error) {
	t.Helper()
	var b strings.Builder
	show := func(path string) error {
		status, body, err := strange.Ask(t, http.MethodGet, "http://"+address+path)
		if err != nil || status != http.StatusOK && status != http.StatusNotFound {
			return fmt.Errorf("GET %s = %d %.300s, %w", path, status, body, err)
		}
		var page map[string]any
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			return fmt.Errorf("GET %s: %w", path, err)
		}
		delete(page, "revision") // of the whole, which others raise, as they do the next
		delete(page, "usage")
		fmt.Fprintln(&b, status, page)
		return nil
	}
	var all []string
	for _, ns := range []string{"public", v["ns"], v["other"]} {
		query := url.Values{"namespace": {ns}, "size": {"10000"}}
		if ns == "public" {
			query.Set("dataId", v["d"]+"*")
		}
		all = append(all, "/v1/configs?"+query.Encode(), "/v1/configs/"+ns+"/g/"+v["d"]+"/history", "/v1/config-policies/"+ns)
	}
	for _, path := range all {
		if err := show(path); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}
