package client_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// document serves one configuration document as the contract says.
type document struct {
	mu      sync.Mutex
	content []byte // under mu; nil: does not exist
	tag     string // under mu; overrides the true MD5
}

func (d *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tag := `"` + client.Digest(d.content) + `"`
	if d.tag != "" {
		tag = d.tag
	}
	match := r.Header.Get("If-Match")
	switch {
	case match != "" && (d.content == nil || match != tag), r.Header.Get("If-None-Match") == "*" && d.content != nil:
		w.WriteHeader(http.StatusPreconditionFailed)
	case r.Method == http.MethodPut:
		d.content, _ = io.ReadAll(r.Body)
		q := r.URL.Query()
		_ = json.NewEncoder(w).Encode(api.Config{MD5: client.Digest(d.content), Size: len(d.content), Type: q.Get("type"), Desc: q.Get("desc"), App: q.Get("app")})
	case d.content == nil:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodDelete:
		d.content = nil
		w.WriteHeader(http.StatusNoContent)
	case r.Header.Get("If-None-Match") == tag:
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Type", "application/yaml")
		w.Header().Set("Config-Type", "yaml")
		w.Header().Set(api.HeaderRevision, "7")
		_, _ = w.Write(d.content)
	}
}

func TestConfig(t *testing.T) {
	d := &document{}
	c := open(t, serve(t, d.ServeHTTP))
	ctx, n := t.Context(), client.Name{Name: "app.yaml"}

	if _, err := c.Config(ctx, n); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Config before a publish = %v, want ErrNotFound", err)
	}
	put, err := c.PutConfig(ctx, n, []byte("a: 1"), client.ConfigWrite{Type: "yaml", Desc: "d", App: "a", CreateOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(api.Config{MD5: client.Digest([]byte("a: 1")), Size: 4, Type: "yaml", Desc: "d", App: "a"}, put.Config); diff != "" {
		t.Errorf("PutConfig (-want +got):\n%s", diff)
	}
	if _, err := c.PutConfig(ctx, n, nil, client.ConfigWrite{CreateOnly: true}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("PutConfig over an existing one = %v, want ErrConflict", err)
	}
	got, changed, err := c.ConfigIfChanged(ctx, n, "00")
	want := client.Document{Content: []byte("a: 1"), MD5: put.MD5, Type: "yaml", ContentType: "application/yaml", Revision: 7}
	if err != nil || !changed || !cmp.Equal(want, got) {
		t.Errorf("ConfigIfChanged = %+v, %v, %v, want %+v, true", got, changed, err, want)
	}
	if _, changed, err := c.ConfigIfChanged(ctx, n, put.MD5); err != nil || changed {
		t.Errorf("ConfigIfChanged with the MD5 that stands = %v, %v, want false", changed, err)
	}
	if _, err := c.PutConfig(ctx, n, []byte("a: 2"), client.ConfigWrite{IfMatch: put.MD5}); err != nil {
		t.Errorf("PutConfig with the MD5 that stands = %v, want nil", err)
	}
	if _, err := c.PutConfig(ctx, n, []byte("a: 3"), client.ConfigWrite{IfMatch: put.MD5}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("PutConfig with an older MD5 = %v, want ErrConflict", err)
	}
	if err := c.DeleteConfig(ctx, n, client.ConfigTerms{IfMatch: put.MD5}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("DeleteConfig with an older MD5 = %v, want ErrConflict", err)
	}
	if err := c.DeleteConfig(ctx, n); err != nil {
		t.Errorf("DeleteConfig = %v, want nil", err)
	}
}

func TestConfigThatWasCutOnTheWay(t *testing.T) {
	d := &document{content: []byte("a: 1"), tag: `"` + client.Digest([]byte("a: 1\nb: 2")) + `"`}
	c := open(t, serve(t, d.ServeHTTP))
	if _, err := c.Config(t.Context(), client.Name{Name: "a"}); err == nil || !strings.Contains(err.Error(), "entity tag") {
		t.Errorf("Config = %v, want an error about the entity tag", err)
	}
	d.mu.Lock()
	d.tag = `W/"` + client.Digest(d.content) + `"`
	d.mu.Unlock()
	if _, err := c.Config(t.Context(), client.Name{Name: "a"}); err != nil {
		t.Errorf("Config with a weakened tag = %v, want nil", err)
	}
}
