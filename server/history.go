package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/internal/diff"
)

func (f *face) mountHistory(a huma.API) {
	tags := []string{"configs"}
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "config-history", Method: http.MethodGet, Path: api.PathConfigHistory,
		Summary: "List what was done to a document, the newest first", Tags: tags}, f.getHistory)
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "config-record", Method: http.MethodGet, Path: api.PathConfigRecord,
		Summary: "Show one record of what was done to a document", Tags: tags}, f.getRecord)
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "diff-config", Method: http.MethodGet, Path: api.PathConfigDiff,
		Summary: "Compare two versions of a document, line by line", Tags: tags, Responses: map[string]*huma.Response{
			"200": {Description: "A unified diff, empty when they are equal", Content: map[string]*huma.MediaType{
				"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}}}}, f.diffConfig)
	register(a, access.Writes(access.Config, inPath), huma.Operation{OperationID: "revert-config", Method: http.MethodPost, Path: api.PathConfigRevert,
		Summary: "Publish a version of the past anew", Tags: tags}, f.revertConfig)
}

type historyQuery struct {
	ConfigPath
	Before int64 `query:"before" minimum:"1" doc:"Only records with a lower number; next of the page before"`
	Size   int   `query:"size" minimum:"1" maximum:"1000" default:"100" doc:"Records on a page"`
}

type historyAnswer struct{ Body api.ConfigHistory }

func (f *face) getHistory(ctx context.Context, q *historyQuery) (*historyAnswer, error) {
	records, total, err := f.configs.History(ctx, q.key(), q.Before, q.Size)
	if err != nil {
		return nil, f.failure(err)
	}
	page := api.ConfigHistory{Total: total, Records: make([]api.ConfigRecord, 0, len(records))}
	for _, h := range records {
		one := recordOf(h)
		one.Head.Schema = ""
		page.Records = append(page.Records, one)
	}
	if n := len(records); n == q.Size && records[n-1].Seq > 1 {
		page.Next = records[n-1].Seq
	}
	return &historyAnswer{page}, nil
}

var ops = map[config.Op]string{config.OpInsert: api.OpInsert, config.OpUpdate: api.OpUpdate, config.OpDelete: api.OpDelete}

func recordOf(h config.History) api.ConfigRecord {
	out := api.ConfigRecord{Seq: h.Seq, Op: ops[h.Op], Release: h.Release, Part: h.Part, Head: configOf(&h.Head),
		Revision: h.Revision, At: h.At, User: h.User, IP: h.IP, From: h.From}
	if h.Rule != nil {
		out.Rule, out.Priority = new(ruleOf(*h.Rule)), h.Priority
	}
	return out
}

type recordGet struct {
	ConfigPath
	Seq     int64 `path:"seq" minimum:"1" doc:"Number of the record" example:"1"`
	Content bool  `query:"content" doc:"With the content"`
}

type recordAnswer struct{ Body api.ConfigRecord }

func (f *face) getRecord(ctx context.Context, in *recordGet) (*recordAnswer, error) {
	h, err := f.configs.Record(ctx, in.key(), in.Seq)
	if err != nil {
		return nil, f.failure(err)
	}
	out := recordOf(h)
	if in.Content {
		content, err := f.configs.ContentOf(ctx, h.Head.Digest)
		if err != nil {
			return nil, f.failure(fmt.Errorf("record %d of %s: %w", in.Seq, in.key(), err))
		}
		out.Content = new(string(content))
	}
	return &recordAnswer{out}, nil
}

type diffQuery struct {
	ConfigPath
	From string `query:"from" doc:"Number of the history record to compare from; the last version before the other one when absent"`
	To   string `query:"to" doc:"Number of the history record to compare with, or current; current when absent"`
}

type diffAnswer struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

const current = "current"

func (f *face) diffConfig(ctx context.Context, q *diffQuery) (*diffAnswer, error) {
	k := q.key()
	to, toSeq, err := f.side(ctx, k, "to", defaulted(q.To, current))
	if err != nil {
		return nil, f.failure(err)
	}
	var from diff.Text
	if q.From == "" {
		from, err = f.before(ctx, k, toSeq)
	} else {
		from, _, err = f.side(ctx, k, "from", q.From)
	}
	if err != nil {
		return nil, f.failure(err)
	}
	return &diffAnswer{"text/plain; charset=utf-8", []byte(diff.Unified(from, to))}, nil
}

// side returns one side of a comparison, and the number of its record.
func (f *face) side(ctx context.Context, k config.Key, field, which string) (diff.Text, int64, error) {
	if which == current {
		snap := f.configs.Snapshot()
		if snap == nil {
			return diff.Text{}, 0, config.ErrUnavailable
		}
		d := snap.Head(k)
		if d == nil {
			return diff.Text{}, 0, snap.Absent(k)
		}
		content, err := f.configs.Content(ctx, d)
		return diff.Text{Label: versionOf(k, d.Seq), Content: content}, d.Seq, err
	}
	seq, err := strconv.ParseInt(which, 10, 64)
	if err != nil || seq < 1 {
		return diff.Text{}, 0, &config.InvalidError{Field: field, Value: which, Reason: "is neither the number of a record nor current"}
	}
	h, err := f.configs.Record(ctx, k, seq)
	if err != nil {
		return diff.Text{}, 0, err
	}
	text, err := f.textOf(ctx, h)
	return text, seq, err
}

func (f *face) textOf(ctx context.Context, h config.History) (diff.Text, error) {
	if h.Op == config.OpDelete {
		return diff.Text{Label: versionOf(h.Key, h.Seq)}, nil
	}
	content, err := f.configs.ContentOf(ctx, h.Head.Digest)
	if err != nil {
		return diff.Text{}, fmt.Errorf("version %d of %s: %w", h.Seq, h.Key, err)
	}
	return diff.Text{Label: versionOf(h.Key, h.Seq), Content: content}, nil
}

func versionOf(k config.Key, seq int64) string {
	return fmt.Sprintf("%s/%s@%d", k.Group, k.DataID, seq)
}

// before returns the last version of the document itself before a record, nothing
// when there was none. Where history was trimmed nobody can tell.
func (f *face) before(ctx context.Context, k config.Key, seq int64) (diff.Text, error) {
	if seq <= 1 {
		return diff.Text{}, nil
	}
	records, _, err := f.configs.History(ctx, k, seq, 100)
	if err != nil {
		return diff.Text{}, err
	}
	for _, h := range records {
		if h.Release == "" {
			return f.textOf(ctx, h)
		}
	}
	if n := len(records); n > 0 && records[n-1].Seq == 1 {
		return diff.Text{}, nil
	}
	return diff.Text{}, fmt.Errorf("the version before %d of %s: %w", seq, k, config.ErrTrimmed)
}

type configRevert struct {
	ConfigPath
	ConfigTerms
	Body api.ConfigRevert
}

func (f *face) revertConfig(ctx context.Context, in *configRevert) (*configAnswer, error) {
	only, err := in.condition()
	if err != nil {
		return nil, err
	}
	head, receipt, err := f.configs.Revert(ctx, in.key(), in.Body.Seq, only, author(ctx))
	if field, ok := errors.AsType[*config.InvalidError](err); ok && field.Field == "seq" {
		field.Field = "body.seq"
	}
	return f.published(head, receipt, err)
}
