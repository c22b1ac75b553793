package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/client"
)

// tripper answers every call itself.
type tripper func(*http.Request) *http.Response

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// silent is a stream that says something and then nothing, until it is cut off.
type silent struct {
	io.Reader

	ctx context.Context //nolint:containedctx // of the call, as a body has it
}

func (s silent) Read(b []byte) (int, error) {
	if n, err := s.Reader.Read(b); err == nil {
		return n, nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (silent) Close() error { return nil }

// A server that died without a word, or a link that did, is noticed by the
// heartbeats that stay away.
func TestWatchNoticesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		start := time.Now()
		c, err := client.New([]string{"http://192.0.2.1"}, client.Config{Transport: tripper(func(r *http.Request) *http.Response {
			asked = append(asked, time.Since(start).Truncate(time.Second))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: silent{strings.NewReader(synced), r.Context()}}
		})})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		if err := c.Watch(ctx, client.WatchAll, client.WatchFilter{}, func(client.Event) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Watch() = %v, want that its time is over", err)
		}
		if len(asked) != 3 || asked[1] != 45*time.Second || asked[2] != 90*time.Second {
			t.Errorf("asked at %v, want 45 s after a stream fell silent", asked)
		}
	})
}
