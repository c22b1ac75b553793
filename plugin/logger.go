package plugin

import (
	"context"
	"log/slog"
	"strings"

	clog "github.com/coredns/coredns/plugin/pkg/log"
)

// logger is a slog.Handler that writes the way CoreDNS does: the message, then
// the attributes as key=value.
type logger struct {
	clog.P
	attrs string // given before, each with a blank in front
}

// Enabled implements slog.Handler: CoreDNS decides by itself about debug lines.
func (logger) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l logger) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(l.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(" " + a.String())
		return true
	})
	switch line := b.String(); {
	case r.Level >= slog.LevelError:
		l.Error(line)
	case r.Level >= slog.LevelWarn:
		l.Warning(line)
	case r.Level >= slog.LevelInfo:
		l.Info(line)
	default:
		l.Debug(line)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (l logger) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		l.attrs += " " + a.String()
	}
	return l
}

// WithGroup implements slog.Handler. Our attributes come in no groups.
func (l logger) WithGroup(string) slog.Handler { return l }
