package keeper

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxRaw bounds what is kept of a Go trace.
const maxRaw = 16 << 10

// hearing is what was heard of a process on its standard error: records of its
// log as JSON, and what Go writes when a program crashes.
type hearing struct {
	last string // last error
	raw  strings.Builder
}

// line passes a record on to the handler, and keeps what is none.
func (h *hearing) line(to slog.Handler, line []byte) {
	record, ok := parse(line)
	if !ok {
		h.keep(string(line))
		return
	}
	if record.Level >= slog.LevelError {
		h.last = record.Message
		record.Attrs(func(a slog.Attr) bool {
			if a.Key == "error" {
				h.last = a.Value.String()
			}
			return true
		})
	}
	if ctx := context.Background(); to.Enabled(ctx, record.Level) {
		_ = to.Handle(ctx, record) // a log that cannot be written has no one to tell
	}
}

// keep keeps a line that is no record. How a Go program crashes stands first; an
// error that etcd logs and then panics with is better known from its log.
func (h *hearing) keep(text string) {
	why, panics := strings.CutPrefix(text, "panic: ")
	if h.raw.Len() == 0 && (panics || strings.HasPrefix(text, "fatal error: ")) && !strings.HasPrefix(h.last, why) {
		h.last = text
	}
	if h.raw.Len()+len(text) < maxRaw {
		h.raw.WriteString(text + "\n")
	}
}

// parse reads a record as slog writes it in JSON.
func parse(line []byte) (slog.Record, bool) {
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return slog.Record{}, false
	}
	var level slog.Level
	message, ok := fields[slog.MessageKey].(string)
	if !ok || level.UnmarshalText(fmt.Append(nil, fields[slog.LevelKey])) != nil {
		return slog.Record{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(fields[slog.TimeKey]))
	if err != nil {
		return slog.Record{}, false
	}
	record := slog.NewRecord(at, level, message, 0)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if key != slog.MessageKey && key != slog.LevelKey && key != slog.TimeKey {
			record.AddAttrs(slog.Any(key, fields[key]))
		}
	}
	return record, true
}
