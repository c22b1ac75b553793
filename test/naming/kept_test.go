package naming_test

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/musterhq/muster/test/strange"
	"github.com/musterhq/muster/test/wire"
)

// TestSwitchesAreKept sets switches, and wants to find them after a restart, but for
// the one that was for debugging.
func TestSwitchesAreKept(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, query := range []string{"entry=clientBeatInterval&value=7000", "entry=lightBeatEnabled&value=false&debug=true"} {
		target := "http://" + s.HTTP + "/nacos/v1/ns/operator/switches?" + query
		if status, body, err := strange.Ask(t, http.MethodPut, target); err != nil || status != http.StatusOK {
			t.Fatalf("PUT %s = %d %s, %v", target, status, body, err)
		}
	}
	want := func(pattern string) {
		t.Helper()
		text, err := read(s.HTTP, "/nacos/v1/ns/operator/switches")
		if err == nil {
			err = wire.Match(pattern, text, nil)
		}
		if err != nil {
			t.Errorf("switches: %v", err)
		}
	}
	want(`{"clientBeatInterval": 7000, "lightBeatEnabled": false, "...": 0}`)
	s.Signal(syscall.SIGTERM)
	s.RestartServer()
	want(`{"clientBeatInterval": 7000, "lightBeatEnabled": true, "...": 0}`)
}
