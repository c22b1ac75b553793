package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// written is what a command has written so far.
type written struct {
	mu   sync.Mutex
	text strings.Builder // under mu
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *written) has(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.text.String(), text)
}

// Who follows a document does so over a restart of the server, and misses nothing
// that stands.
func TestConfigWatchSurvivesKills(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	s.publish("app", "one")
	out := &written{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	app := newApp()
	app.Writer = out
	ended := make(chan error, 1)
	go func() {
		ended <- app.RunContext(ctx, []string{"muster", "config", "watch", "--server", s.url(), "--content", "app"})
	}()
	for _, content := range []string{"one", "two", "three"} {
		if content != "one" {
			s.kill()
			s.start()
			s.publish("app", content)
		}
		eventually(t, time.Minute, content+" is told", func() bool { return out.has("\n" + content + "\n") })
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("muster config watch = %v, want nil", err)
	}
}
