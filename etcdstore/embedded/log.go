package embedded

import (
	"context"
	"log/slog"
	"slices"

	"go.uber.org/zap/zapcore"
)

// bridge hands etcd's errors to a slog.Logger, and drops what is below: a
// single member talks about its elections at every start. An error that ends the
// process is the last thing an operator reads.
type bridge struct {
	zapcore.LevelEnabler

	log    *slog.Logger
	fields []zapcore.Field
}

func newBridge(log *slog.Logger) zapcore.Core {
	return &bridge{LevelEnabler: zapcore.ErrorLevel, log: log}
}

// With implements zapcore.Core.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{b.LevelEnabler, b.log, append(slices.Clip(b.fields), fields...)}
}

// firstStart is what etcd calls an error at the first start of every store, and
// puts right by itself.
const firstStart = "failed to update storage version"

// Check implements zapcore.Core.
func (b *bridge) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) && e.Message != firstStart {
		return to.AddCore(e, b)
	}
	return to
}

// Write implements zapcore.Core.
func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range append(slices.Clip(b.fields), fields...) {
		f.AddTo(values)
	}
	b.log.LogAttrs(context.Background(), slog.LevelError, "embedded etcd reports an error",
		slog.String("error", e.Message), slog.Any("details", values.Fields))
	return nil
}

// Sync implements zapcore.Core.
func (b *bridge) Sync() error { return nil }
