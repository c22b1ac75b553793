// Package silence_test sees that a server keeps to itself what documents say: no log,
// no metric, no error and no warning quotes a content, and of an encrypted document
// nothing on the disk does.
package silence_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m, "../../..")) }

// secret is what nobody may find; each form of it is a content of its own.
const secret = "hush-3f9c1b"

const base = "/v1/configs/public/g/"

// call is one request and what it is to be answered.
type call struct {
	method, path, body string
	header             [2]string
	status             int
	reads              bool // its answer is the content, or a page of contents
}

var (
	long = strings.Repeat("x", 700<<10) + secret
	form = func(more ...string) string {
		v := url.Values{"dataId": {"nacos"}, "group": {"g"}, "content": {"k=" + secret}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v.Encode()
	}
)

const encoded = "application/x-www-form-urlencoded"

var calls = []call{
	{method: "PUT", path: base + "plain?type=json", body: `{"p": "` + secret + `"}`, status: 200},
	{method: "PUT", path: base + "plain?type=json", body: `{"p": "` + secret + `",,}`, status: 200}, // warned of
	{method: "PUT", path: base + "long", body: long, status: 200},
	{method: "PUT", path: base + "cipher-sealed", body: secret, status: 200},
	{method: "PUT", path: base + "cipher-sealed", body: long, status: 200},
	{method: "PUT", path: base + "cipher-sealed/releases/beta?ips=192.0.2.1", body: secret + " gray", status: 200},
	{method: "PUT", path: base + "plain", body: secret, header: [2]string{"If-Match", `"00000000000000000000000000000000"`}, status: 412},
	{method: "PUT", path: base + "blank", body: " ", status: 400},
	{method: "PUT", path: base + "no%2Fname", body: secret, status: 400},
	{method: "PUT", path: base + "utf", body: secret + "\xff", status: 400},
	{method: "PUT", path: base + "joined/parts/a", body: secret, status: 200},
	{method: "PUT", path: base + "joined", body: secret, status: 409},
	{method: "POST", path: "/v1/configs-set", body: `{"edits":[{"dataId":"set","content":"` + secret + `"},{"dataId":"set","content":"` + secret + `"}]}`, status: 400},
	{method: "POST", path: "/v1/configs-set", body: `{"edits":[{"dataId":"set","content":"` + secret + `"`, status: 400},
	{method: "PUT", path: "/v1/config-policies/public", body: `{"validate":"refuse","hard":{"size":1000000}}`, status: 200},
	{method: "PUT", path: base + "plain?type=yaml", body: "a: [" + secret, status: 400},
	{method: "PUT", path: base + "plain?type=toml", body: "a = " + secret, status: 400},
	{method: "PUT", path: base + "plain?type=xml", body: "<" + secret, status: 400},
	{method: "PUT", path: base + "plain?type=properties", body: "a=\\u" + secret, status: 400},
	{method: "PUT", path: base + "plain?type=json", body: secret, status: 400},
	{method: "PUT", path: base + "plain?type=text", body: strings.Repeat("y", 1000001-len(secret)) + secret, status: 403},
	{method: "GET", path: base + "plain", status: 200, reads: true},
	{method: "GET", path: "/v1/configs?content=" + secret, status: 200},
	{method: "GET", path: base + "cipher-sealed/history", status: 200},
	{method: "GET", path: base + "cipher-sealed/diff?from=1&to=2", status: 200, reads: true},
	{method: "POST", path: base + "cipher-sealed/revert", body: `{"seq":1}`, status: 200},
	{method: "GET", path: base + "cipher-sealed/track", status: 200},
	{method: "POST", path: "/nacos/v1/cs/configs", body: form(), header: [2]string{"Content-Type", encoded}, status: 200},
	{method: "POST", path: "/nacos/v1/cs/configs", body: form(), header: [2]string{"casMd5", "0123"}, status: 500},
	{method: "POST", path: "/nacos/v1/cs/configs", body: form("type", "json"), header: [2]string{"Content-Type", encoded}, status: 400},
	{method: "POST", path: "/nacos/v1/cs/configs", body: form("desc", strings.Repeat("d", 200)), header: [2]string{"Content-Type", encoded}, status: 400},
	{method: "POST", path: "/nacos/v1/cs/configs", body: form("dataId", "a b"), header: [2]string{"Content-Type", encoded}, status: 400},
	{method: "POST", path: "/nacos/v2/cs/config", body: form("namespaceId", "public"), header: [2]string{"Content-Type", encoded}, status: 200},
	{method: "POST", path: "/nacos/v1/cs/configs?import=true", body: "PK" + secret, header: [2]string{"Content-Type", "multipart/form-data; boundary=" + secret}, status: 400},
	{method: "GET", path: "/nacos/v1/cs/history?search=accurate&dataId=nacos&group=g", status: 200},
	{method: "DELETE", path: base + "plain", status: 204},
	{method: "GET", path: "/metrics", status: 200},
	{method: "GET", path: "/v1/status", status: 200},
}

func TestContentsAreNowhere(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.CommandContext(t.Context(), binary.Muster(), "config", "key", "init", key).CombinedOutput(); err != nil {
		t.Fatalf("key init: %v: %s", err, out)
	}
	s := binary.StartServer(t, binary.Muster(), "--dns", "127.0.0.1:0", "--config-key", key, "--log-level", "debug")
	for _, c := range calls {
		status, answer := c.ask(t, s.HTTP)
		if status != c.status {
			t.Errorf("%s %s %.40q = %d %.300q, want %d", c.method, c.path, c.body, status, answer, c.status)
		}
		if !c.reads && bytes.Contains(answer, []byte(secret)) {
			t.Errorf("%s %s answers %.300q, which quotes the content", c.method, c.path, answer)
		}
	}
	s.Kill()
	if at := strings.Index(s.Log(), secret); at >= 0 {
		t.Errorf("the log quotes a content: %.300s", s.Log()[max(0, at-200):])
	}
	if !strings.Contains(s.Log(), "level=") {
		t.Error("nothing was logged, so this test proves little")
	}
}

// Nothing that a server writes to its disk tells the content of an encrypted
// document.
func TestEncryptedContentsAreNotOnTheDisk(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.CommandContext(t.Context(), binary.Muster(), "config", "key", "init", key).CombinedOutput(); err != nil {
		t.Fatalf("key init: %v: %s", err, out)
	}
	s := binary.StartServer(t, binary.Muster(), "--dns", "127.0.0.1:0", "--config-key", key)
	for _, c := range calls {
		if strings.HasPrefix(c.path, base+"cipher-sealed") {
			c.ask(t, s.HTTP)
		}
	}
	open := call{method: "PUT", path: base + "clear", body: "open-" + secret[:4]}
	open.ask(t, s.HTTP)
	s.Kill()
	found := false
	err := filepath.WalkDir(s.Data(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s holds the content", path)
		}
		found = found || bytes.Contains(b, []byte(open.body))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		t.Error("what is not encrypted was not found either, so this test proves nothing")
	}
}

func (c call) ask(t *testing.T, at string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), c.method, "http://"+at+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if c.header[0] != "" {
		req.Header.Set(c.header[0], c.header[1])
	}
	if req.Header.Get("Content-Type") == "" && strings.HasPrefix(c.path, "/nacos/") {
		req.Header.Set("Content-Type", encoded)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}
