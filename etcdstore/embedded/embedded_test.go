package embedded_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/etcdstore/embedded"
)

func TestRestartKeepsWhatWasPut(t *testing.T) {
	dir := t.TempDir()
	for _, want := range []string{"", "value"} {
		e, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if url := e.ClientURL(); url != "" {
			t.Errorf("ClientURL() = %q, want none: no port is opened unless asked for", url)
		}
		resp, err := e.Client().Get(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, kv := range resp.Kvs {
			got = string(kv.Value)
		}
		if got != want {
			t.Errorf("value = %q, want %q", got, want)
		}
		if _, err := e.Client().Put(t.Context(), "key", "value"); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
}

func TestStartNamesTheDirectoryInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(file, "below")
	e, err := embedded.Start(t.Context(), embedded.Config{Dir: below})
	if err == nil {
		t.Fatal("Start(a path below a file) = nil, want an error", e.Close())
	}
	if !strings.Contains(err.Error(), below) {
		t.Errorf("Start(%s) = %v, want the path in it", below, err)
	}
}
