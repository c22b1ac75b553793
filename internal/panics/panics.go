// Package panics answers calls over HTTP whose handler panics, so that nobody else
// notices, and who made the mistake finds it in the log.
package panics

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Config says what becomes of a panic. All of it is required.
type Config struct {
	Logger *slog.Logger
	// Count is called once for each.
	Count func()
	// Answer answers a call whose answer has not begun.
	Answer func(w http.ResponseWriter, r *http.Request)
}

// Handler returns next with its panics answered. Where an answer has begun the
// connection is cut, or half of it would look like all; so it is, without a word, for
// http.ErrAbortHandler.
func Handler(cfg Config, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &beginning{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) // the connection is to break
			}
			cfg.Count()
			cfg.Logger.Error("a call panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			if b.begun {
				panic(http.ErrAbortHandler)
			}
			for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Type", "Etag"} {
				w.Header().Del(name)
			}
			cfg.Answer(w, r)
		}()
		next.ServeHTTP(b, r)
	})
}

// beginning notes whether an answer has begun.
type beginning struct {
	http.ResponseWriter

	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (b *beginning) WriteHeader(status int) {
	b.begun = b.begun || status >= http.StatusOK
	b.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (b *beginning) Write(p []byte) (int, error) {
	b.begun = true
	return b.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what it needs.
func (b *beginning) Unwrap() http.ResponseWriter { return b.ResponseWriter }
