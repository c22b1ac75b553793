package server_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/config/vault"
	"github.com/musterhq/muster/server"
)

// What one server exports, another one has after an import: byte for byte the same,
// history, authors and times included.
func TestTransfer(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if _, err := vault.Generate(keys); err != nil {
		t.Fatal(err)
	}
	from, _ := start(t, server.Config{ConfigKeyFile: keys})
	c := dial(t, from)
	for _, content := range []string{"v: 1", "v: 2", "v: 3"} {
		publish(t, c, doc("app.yaml"), content, client.ConfigWrite{Type: "yaml", Tags: []string{"a"}, Schema: `{"type": "object"}`})
	}
	publish(t, c, doc("secret"), "password", client.ConfigWrite{Encrypt: new(true)})
	publish(t, c, doc("gone"), "v: 1", client.ConfigWrite{})
	publish(t, c, doc("long"), strings.Repeat("a", 3<<20), client.ConfigWrite{})
	if err := c.DeleteConfig(t.Context(), doc("gone")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutRelease(t.Context(), doc("app.yaml"), "canary", []byte("v: 4"), client.ReleaseWrite{Rule: api.Rule{Percent: 10}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutPart(t.Context(), doc("routes"), "1", []byte("a"), "", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetPolicy(t.Context(), "public", api.PolicySpec{HistoryDays: 9}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExportConfigs(t.Context(), "", "", new(bytes.Buffer)); !errors.Is(err, client.ErrConflict) || !strings.Contains(err.Error(), "DEFAULT_GROUP/secret") {
		t.Errorf("export of what is encrypted = %v, want it refused, and named", err)
	}
	var first, second bytes.Buffer
	if _, err := c.ExportConfigs(t.Context(), "", "clear", &first); err != nil {
		t.Fatal(err)
	}

	to, _ := start(t, server.Config{ConfigKeyFile: keys})
	c = dial(t, to)
	half := first.Bytes()[:first.Len()/2]
	if _, err := c.ImportConfigs(t.Context(), bytes.NewReader(half), int64(len(half)), ""); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("import of half an archive = %v, want it refused", err)
	}
	if list, err := c.Configs(t.Context(), client.Query{}); err != nil || list.Total != 0 {
		t.Errorf("after half an archive there are %d documents, %v", list.Total, err)
	}
	out, err := c.ImportConfigs(t.Context(), bytes.NewReader(first.Bytes()), int64(first.Len()), "")
	if err != nil || out.Restored != 5 || out.Policies != 1 {
		t.Fatalf("import = %+v, %v, want five documents and a policy", out, err)
	}
	if _, err := c.ExportConfigs(t.Context(), "", "clear", &second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("the export of an import differs")
	}
	page, err := c.ConfigHistory(t.Context(), doc("gone"), 0, 10)
	if err != nil || page.Total != 2 || page.Records[0].Op != api.OpDelete || page.Records[0].IP != "127.0.0.1" {
		t.Errorf("history of what was removed = %+v, %v", page, err)
	}
	if back, err := c.RevertConfig(t.Context(), doc("app.yaml"), 1, client.ConfigTerms{}); err != nil || back.Version != 5 {
		t.Errorf("revert to a version that came = %+v, %v", back, err)
	}
	copied, err := c.CloneConfigs(t.Context(), api.ConfigClone{From: "public", To: "copies"})
	if err != nil || copied.Published != 4 {
		t.Errorf("clone = %+v, %v, want four documents", copied, err)
	}
	copied, err = c.CloneConfigs(t.Context(), api.ConfigClone{From: "public", To: "more", DataIDs: []string{"app.yaml", "nosuch"}})
	if err != nil || copied.Published != 1 || len(copied.Skipped) != 1 || copied.Skipped[0].DataID != "nosuch" {
		t.Errorf("clone of one that is there and one that is not = %+v, %v, want to be told", copied, err)
	}
	if head, err := c.ConfigHead(t.Context(), client.Name{Namespace: "copies", Name: "secret"}); err != nil || !head.Encrypted {
		t.Errorf("the copy of secret = %+v, %v, want it encrypted", head, err)
	}
}

// Each archive takes the disk it lies on: what comes beside one is refused unread.
func TestOneImportAtATime(t *testing.T) {
	s := running(t)
	at := base(s) + api.PathConfigImport
	body, upload := io.Pipe()
	var first sync.WaitGroup
	first.Go(func() { call(t, http.MethodPost, at, "application/zip", body) })
	if _, err := upload.Write([]byte("PK")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second import is refused", func() bool {
		code, _, _ := call(t, http.MethodPost, at, "application/zip", strings.NewReader("x"))
		return code == http.StatusTooManyRequests
	})
	upload.Close()
	first.Wait()
	if code, _, text := call(t, http.MethodPost, at, "application/zip", strings.NewReader("x")); code != http.StatusBadRequest {
		t.Errorf("an import after the first one = %d %s, want it read, and refused as no archive", code, text)
	}
}
