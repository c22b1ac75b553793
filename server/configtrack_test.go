package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/config/vault"
	"github.com/musterhq/muster/server"
)

func TestTrack(t *testing.T) {
	s := running(t)
	plain := dial(t, s)
	agent, err := client.New([]string{base(s)}, client.Config{Identity: client.Identity{ID: "web-1"}})
	if err != nil {
		t.Fatal(err)
	}
	ref := func(md5 string) []api.ConfigRef { return []api.ConfigRef{{DataID: "a", MD5: md5}} }
	publish(t, plain, doc("a"), "1", client.ConfigWrite{})
	old := publish(t, plain, doc("a"), "2", client.ConfigWrite{})
	next := publish(t, plain, doc("a"), "3", client.ConfigWrite{})
	for _, c := range []*client.Client{agent, plain} { // both say what they hold, the address last
		if _, err := c.WatchConfigs(t.Context(), ref(old.MD5), 0); err != nil {
			t.Fatal(err)
		}
	}
	got, err := plain.ConfigTrack(t.Context(), doc("a"))
	if err != nil || got.MD5 != next.MD5 || got.Clients != 2 || got.OnNewest != 0 || got.TookMs != nil || len(got.Slowest) != 2 || len(got.Silent) != 0 {
		t.Fatalf("track = %+v, %v, want two clients that do not have the newest", got, err)
	}
	if _, err := agent.Config(t.Context(), doc("a")); err != nil {
		t.Fatal(err)
	}
	if err := agent.ReportConfigs(t.Context(), "web-1", []api.ConfigReport{{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "a", MD5: next.MD5,
		State: api.ReportRejected, Detail: "check failed", At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	held, err := plain.ConfigClient(t.Context(), "web-1")
	if err != nil || len(held.Holders) != 1 || held.Holders[0].MD5 != old.MD5 || held.Holders[0].Offer == nil || held.Holders[0].Offer.State != api.ReportRejected {
		t.Errorf("what the agent holds = %+v, %v, want the old one and an offer that it rejected", held, err)
	}
	if err := agent.ReportConfigs(t.Context(), "web-1", []api.ConfigReport{{DataID: "a", MD5: next.MD5, State: api.ReportApplied, At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := plain.WatchConfigs(t.Context(), ref(next.MD5), 0); err != nil {
		t.Fatal(err)
	}
	got, err = plain.ConfigTrack(t.Context(), doc("a"))
	if err != nil || got.Clients != 2 || got.OnNewest != 2 || got.Share != 1 || got.TookMs == nil {
		t.Errorf("track = %+v, %v, want all on the newest", got, err)
	}
	gray, err := plain.PutRelease(t.Context(), doc("a"), "canary", []byte("4"), client.ReleaseWrite{Rule: api.Rule{Tag: "blue"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.ReportConfigs(t.Context(), "web-1", []api.ConfigReport{{DataID: "a", MD5: next.MD5, State: api.ReportApplied},
		{DataID: "a", MD5: gray.Config.MD5, State: api.ReportRejected, At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	got, err = plain.ConfigTrack(t.Context(), doc("a"))
	if err != nil || got.Clients != 2 || got.OnNewest != 1 {
		t.Errorf("track = %+v, %v, want one of two on the newest: the other rejected its gray release", got, err)
	}
	if _, err := plain.ConfigTrack(t.Context(), doc("nobody")); status(err) != http.StatusNotFound {
		t.Errorf("track of a document that never was = %v, want 404", err)
	}
	if err := agent.ReportConfigs(t.Context(), "web-1", []api.ConfigReport{{DataID: "a b", MD5: next.MD5, State: api.ReportApplied}}); status(err) != http.StatusBadRequest {
		t.Errorf("a report of a bad name = %v, want 400", err)
	}
}

// Who listens over gRPC says what it holds, and is known by its address.
func TestTrackOfConnections(t *testing.T) {
	s := running(t)
	plain := dial(t, s)
	first := publish(t, plain, doc("over-grpc"), "1", client.ConfigWrite{})
	c := connectAs(t, s, "")
	listen := func(md5 string) {
		c.CallInto("ConfigBatchListenRequest", map[string]any{"configListenContexts": []any{map[string]any{"dataId": "over-grpc", "group": "DEFAULT_GROUP", "md5": md5}}}, new(struct{}))
	}
	listen(first.MD5)
	next := publish(t, plain, doc("over-grpc"), "2", client.ConfigWrite{})
	c.Next("ConfigChangeNotifyRequest")
	for _, want := range []struct {
		md5    string
		newest int
	}{{first.MD5, 0}, {next.MD5, 1}} {
		listen(want.md5)
		got, err := plain.ConfigTrack(t.Context(), doc("over-grpc"))
		if err != nil || got.Clients != 1 || got.OnNewest != want.newest || len(got.Holders) != 1 || got.Holders[0].Kind != "grpc" || got.Holders[0].Client != "127.0.0.1" || got.Holders[0].MD5 != want.md5 {
			t.Errorf("track = %+v, %v, want one client by gRPC that holds %s", got, err, want.md5)
		}
	}
}

func TestEncryptedDocuments(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if _, err := vault.Generate(keys); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, server.Config{ConfigKeyFile: keys})
	c := dial(t, s)
	for id, w := range map[string]client.ConfigWrite{"secret": {Encrypt: new(true)}, "cipher-a": {}} {
		if head := publish(t, c, doc(id), "password=1", w); !head.Encrypted {
			t.Errorf("%s = %+v, want it encrypted", id, head)
		}
		if d, err := c.Config(t.Context(), doc(id)); err != nil || string(d.Content) != "password=1" {
			t.Errorf("%s reads %q, %v", id, d.Content, err)
		}
	}
	publish(t, c, doc("secret"), "password=2", client.ConfigWrite{})
	if text, err := c.DiffConfig(t.Context(), doc("secret"), "", ""); err != nil || text == "" {
		t.Errorf("diff = %q, %v", text, err)
	}
	if head := publish(t, c, doc("secret"), "password=3", client.ConfigWrite{Encrypt: new(false)}); head.Encrypted {
		t.Errorf("it is encrypted after it was said that it is not")
	}
}

// A server without the key neither shows what is encrypted as gone, nor tells it so.
func TestEncryptedDocumentsWithoutTheKey(t *testing.T) {
	dir, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys")
	if _, err := vault.Generate(keys); err != nil {
		t.Fatal(err)
	}
	s, stop := start(t, server.Config{DataDir: dir, ConfigKeyFile: keys})
	head := publish(t, dial(t, s), doc("secret"), "password=1", client.ConfigWrite{Encrypt: new(true)})
	stop()
	s, _ = start(t, server.Config{DataDir: dir})
	c, err := client.New([]string{base(s)}, client.Config{Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Config(t.Context(), doc("secret")); status(err) != http.StatusServiceUnavailable {
		t.Errorf("it reads %v, want 503", err)
	}
	nacos := base(s) + "/nacos/v1/cs/configs"
	for _, query := range []string{"?dataId=secret&group=DEFAULT_GROUP", "?dataId=secret&group=DEFAULT_GROUP&show=all"} {
		if code, body := get(t, nacos+query); code != http.StatusServiceUnavailable {
			t.Errorf("a Nacos client reads %s: %d %q, want 503", query, code, body)
		}
	}
	said := url.Values{"Listening-Configs": {"secret\x02DEFAULT_GROUP\x02" + head.MD5 + "\x01"}}
	code, header, _ := call(t, http.MethodPost, nacos+"/listener", "application/x-www-form-urlencoded", strings.NewReader(said.Encode()))
	if told := header.Get("Probe-Modify-Response-New"); code != http.StatusOK || told != "" {
		t.Errorf("a Nacos listener is told %d %q, want nothing", code, told)
	}
	if _, err := c.ConfigHead(t.Context(), doc("secret")); status(err) != http.StatusServiceUnavailable {
		t.Errorf("its head is %v, want 503", err)
	}
	if changed, err := c.WatchConfigs(t.Context(), []api.ConfigRef{{DataID: "secret", MD5: head.MD5}}, 0); err != nil || len(changed) != 0 {
		t.Errorf("a watch tells %+v, %v, want nothing", changed, err)
	}
}

func TestValidation(t *testing.T) {
	c := dial(t, running(t))
	if head := publish(t, c, doc("a"), "{", client.ConfigWrite{Type: "json"}); len(head.Warnings) != 1 {
		t.Errorf("warnings = %q, want one about the type", head.Warnings)
	}
	if _, err := c.SetPolicy(t.Context(), "public", api.PolicySpec{Validate: "refuse"}); err != nil {
		t.Fatal(err)
	}
	_, err := c.PutConfig(t.Context(), doc("a"), []byte(`{"port": "x"}`), client.ConfigWrite{Schema: `{"properties": {"port": {"type": "integer"}}}`})
	if status(err) != http.StatusBadRequest {
		t.Errorf("a content that its schema does not fit = %v, want 400", err)
	}
	publish(t, c, doc("a"), `{"port": 1}`, client.ConfigWrite{Schema: `{"properties": {"port": {"type": "integer"}}}`})
}

// The labels that the source has of an address go before those that a client says
// of itself; Nacos clients are known to the push track as well.
func TestReadersAreKnown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "labels.csv")
	if err := os.WriteFile(file, []byte("address,zone\n127.0.0.1,b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, server.Config{Labels: server.Labels{File: file}})
	c := dial(t, s)
	publish(t, c, doc("a"), "v: 1", client.ConfigWrite{})
	if _, err := c.PutRelease(t.Context(), doc("a"), "zone-b", []byte("v: 2"), client.ReleaseWrite{Rule: api.Rule{Labels: map[string]string{"zone": "b"}}}); err != nil {
		t.Fatal(err)
	}
	liar, err := client.New([]string{base(s)}, client.Config{Identity: client.Identity{ID: "web-1", Labels: map[string]string{"zone": "c"}}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the labels of the file choose the release", func() bool {
		d, err := liar.Config(t.Context(), doc("a"))
		return err == nil && d.Release == "zone-b"
	})
	if code, body := get(t, base(s)+"/nacos/v1/cs/configs?dataId=a&group=DEFAULT_GROUP"); code != http.StatusOK || body != "v: 2" {
		t.Errorf("a Nacos client reads %d %q, want the release", code, body)
	}
	got, err := c.ConfigClient(t.Context(), "127.0.0.1")
	if err != nil || len(got.Holders) != 1 || got.Holders[0].Offer == nil || got.Holders[0].Offer.Release != "zone-b" {
		t.Errorf("what the Nacos client was given = %+v, %v, want the release", got, err)
	}
}
