package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/registry"
)

// Matching is what a change or a removal may depend on.
type Matching struct {
	IfMatch string `header:"If-Match" doc:"Write only if it was last changed at this revision, as its ETag says, or, with *, if it is there at all" example:"*"`
	DryRun  bool   `query:"dryRun" doc:"Write nothing, and answer what would stand"`
}

// Making is what a write that may create something may depend on.
type Making struct {
	Matching

	IfNoneMatch string `header:"If-None-Match" doc:"*: write only if it is not there yet"`
}

// changing returns the registry for a change of what is kept as rec, under the
// caller's terms.
func (f *face) changing(m Matching, rec registry.Record) (*registry.Registry, error) {
	terms := registry.Terms{DryRun: m.DryRun}
	if m.IfMatch != "" {
		revision, ok := parseTag(m.IfMatch)
		if !ok {
			return nil, badHeader("If-Match", m.IfMatch, "is neither * nor one revision in quotes")
		}
		terms.If = &registry.Seen{Key: rec.RecordKey(), Revision: revision}
	}
	return f.registry.Under(terms), nil
}

// making is changing for a write that may create it.
func (f *face) making(m Making, rec registry.Record) (*registry.Registry, error) {
	switch {
	case m.IfNoneMatch == "":
		return f.changing(m.Matching, rec)
	case m.IfNoneMatch != "*":
		return nil, badHeader("If-None-Match", m.IfNoneMatch, "is not *")
	case m.IfMatch != "":
		return nil, badHeader("If-Match", m.IfMatch, "contradicts If-None-Match")
	}
	return f.registry.Under(registry.Terms{DryRun: m.DryRun, If: &registry.Seen{Key: rec.RecordKey()}}), nil
}

func badHeader(name, value, reason string) error {
	return huma.Error400BadRequest(fmt.Sprintf("%s: %q %s", name, value, reason),
		&huma.ErrorDetail{Message: reason, Location: "header." + name, Value: value})
}

// parseTag returns the revision of an entity tag, -1 for any. A proxy that packs
// answers makes tags weak.
func parseTag(tag string) (int64, bool) {
	if tag == "*" {
		return -1, true
	}
	tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	inner, open := strings.CutPrefix(tag, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	revision, err := strconv.ParseInt(inner, 10, 64)
	return revision, open && closed && err == nil && revision > 0
}

// revisionTag returns the entity tag of what was last changed at a revision, ""
// for what is not kept.
func revisionTag(revision int64) string {
	if revision == 0 {
		return ""
	}
	return `"` + strconv.FormatInt(revision, 10) + `"`
}

// unseen is the answer to a write whose condition does not hold.
func unseen(e *registry.SeenError) error {
	detail := &huma.ErrorDetail{Message: "does not hold", Location: "header.If-Match", Value: e.Is}
	if e.Revision == 0 {
		detail.Location = "header.If-None-Match"
	}
	return huma.ErrorWithHeaders(huma.Error412PreconditionFailed(e.Error(), detail), http.Header{"Etag": tagsOf(e.Is)})
}

func tagsOf(revision int64) []string {
	if tag := revisionTag(revision); tag != "" {
		return []string{tag}
	}
	return nil
}

// Outcome is the header part of an answer to a write on terms.
type Outcome struct {
	ETag     string `header:"ETag" doc:"Revision at which it was last changed, in quotes; for If-Match. Absent where nothing stands, and in a dry run"`
	Revision int64  `header:"Muster-Revision" doc:"Revision the write was committed at; in a dry run the one it was decided on"`
	Lagging  bool   `header:"Muster-Lagging" doc:"Committed, but not yet visible in this server's snapshot"`
	DryRun   bool   `header:"Muster-Dry-Run" doc:"Nothing was written: this is what would stand"`
}

// Shown is the header part of an answer that shows one thing.
type Shown struct {
	ETag     string `header:"ETag" doc:"Revision at which it was last changed, in quotes; for If-Match"`
	Revision int64  `header:"Muster-Revision" doc:"Revision of the answer"`
}

// outcome returns the headers of what became of a write, and the snapshot that
// shows it.
func (f *face) outcome(r registry.Receipt) (Outcome, *registry.Snapshot) {
	out := Outcome{Revision: r.Revision, Lagging: r.Lagging, DryRun: r.After != nil}
	if r.After != nil {
		return out, r.After
	}
	return out, f.registry.Snapshot()
}

// at sets the revision of what the write is about. That of a dry run was never
// given.
func (o *Outcome) at(revision int64) int64 {
	if o.DryRun {
		if revision > o.Revision {
			return 0
		}
		return revision
	}
	o.ETag = revisionTag(revision)
	return revision
}

type goneAnswer struct{ Outcome }

// gone answers a removal.
func (f *face) gone(r registry.Receipt, err error) (*goneAnswer, error) {
	if err != nil {
		return nil, f.failure(err)
	}
	out, _ := f.outcome(r)
	return &goneAnswer{out}, nil
}

// snapshot returns what can be shown, or why nothing can.
func (f *face) snapshot() (*registry.Snapshot, error) {
	if snap := f.registry.Snapshot(); snap != nil {
		return snap, nil
	}
	return nil, f.failure(registry.ErrUnavailable)
}
