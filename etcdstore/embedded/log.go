package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap/zapcore"
)

// ErrRemoved says that this server's etcd is no member of its cluster any more.
// What lies in its data directory is of no more use.
var ErrRemoved = errors.New("this server was removed from the etcd cluster for good: to let it in again move its data " +
	"directory away, add it as a member, and start it with join")

// trace keeps what etcd said last, for it does not return why it stops.
type trace struct {
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	last    string
	removed bool
}

func (t *trace) say(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = text
	t.removed = t.removed || strings.Contains(text, "permanently removed")
}

// reason returns why etcd stopped, as far as it is known better than err says.
func (t *trace) reason(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.removed:
		return ErrRemoved
	case err != nil:
		return err
	case t.last == "":
		return errors.New("etcd stopped by itself")
	}
	return fmt.Errorf("etcd stopped: %s", t.last)
}

// bridge hands etcd's errors to a slog.Logger, and drops what is below: a
// single member talks about its elections at every start. An error that ends the
// process is the last thing an operator reads.
type bridge struct {
	zapcore.LevelEnabler

	trace  *trace
	fields []zapcore.Field
}

func newBridge(t *trace) zapcore.Core {
	return &bridge{LevelEnabler: zapcore.WarnLevel, trace: t}
}

// With implements zapcore.Core.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{b.LevelEnabler, b.trace, append(slices.Clip(b.fields), fields...)}
}

// stopping is the warning with which a member stops that was removed.
const stopping = "server error"

// harmless are errors that etcd puts right by itself: at the first start of every
// store, and while a new member catches up.
var harmless = []string{"failed to update storage version", "rejecting promote learner: learner is not ready"}

// Check implements zapcore.Core.
func (b *bridge) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level < zapcore.ErrorLevel && e.Message != stopping || slices.Contains(harmless, e.Message) {
		return to
	}
	return to.AddCore(e, b)
}

// Write implements zapcore.Core.
func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range append(slices.Clip(b.fields), fields...) {
		f.AddTo(values)
	}
	text := e.Message
	if strings.Contains(fmt.Sprint(values.Fields["error"]), net.ErrClosed.Error()) {
		return nil // how its listeners say that it was told to stop
	}
	if why, ok := values.Fields["error"]; ok {
		text = fmt.Sprintf("%s: %v", text, why)
	}
	b.trace.say(text)
	if e.Level >= zapcore.ErrorLevel {
		b.trace.log.LogAttrs(context.Background(), slog.LevelError, "embedded etcd reports an error",
			slog.String("error", text), slog.Any("details", values.Fields))
	}
	return nil
}

// Sync implements zapcore.Core.
func (b *bridge) Sync() error { return nil }
