package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/config"
)

// ConfigTerms is what a change of a document may depend on.
type ConfigTerms struct {
	IfMatch    string `header:"If-Match" doc:"Write only over a content with this entity tag, its MD5 in quotes, or, with *, over any"`
	IfRevision int64  `query:"ifRevision" minimum:"1" doc:"Write only over what was last changed at this revision"`
}

// condition returns the terms as the centre takes them.
func (t ConfigTerms) condition() (config.Condition, error) {
	only := config.Condition{Revision: t.IfRevision, Exists: t.IfRevision > 0}
	if t.IfMatch == "" {
		return only, nil
	}
	only.Exists = true
	tag := strings.TrimPrefix(strings.TrimSpace(t.IfMatch), "W/")
	switch inner := strings.Trim(tag, `"`); {
	case tag == "*":
	case inner == "" || strings.ContainsAny(inner, `",* `):
		return only, badHeader("If-Match", t.IfMatch, "is neither * nor one entity tag in quotes")
	default:
		only.MD5 = inner
	}
	return only, nil
}

// ConfigMaking is what a write that may create a document may depend on.
type ConfigMaking struct {
	ConfigTerms

	IfNoneMatch string `header:"If-None-Match" doc:"*: write only where there is none yet"`
}

func (t ConfigMaking) condition() (config.Condition, error) {
	only, err := t.ConfigTerms.condition()
	switch {
	case err != nil || t.IfNoneMatch == "":
		return only, err
	case t.IfNoneMatch != "*":
		return only, badHeader("If-None-Match", t.IfNoneMatch, "is not *")
	case only.Exists:
		return only, badHeader("If-None-Match", t.IfNoneMatch, "contradicts If-Match and ifRevision")
	}
	return config.Condition{Absent: true}, nil
}

// ConfigOutcome is the header part of an answer to a write of a document.
type ConfigOutcome struct {
	Written

	ETag     string   `header:"ETag" doc:"MD5 of the content, in quotes; for If-Match"`
	Warnings []string `header:"Muster-Warning" doc:"What the writer should know although it was written"`
}

func written(r config.Receipt) Written { return Written{r.Revision, r.Lagging} }

func outcomeOf(head *config.Document, r config.Receipt) ConfigOutcome {
	out := ConfigOutcome{Written: written(r), Warnings: r.Warnings}
	if head != nil {
		out.ETag = etag(head.MD5)
	}
	return out
}

func etag(md5 string) string {
	if md5 == "" {
		return ""
	}
	return `"` + md5 + `"`
}

// matches reads a list of entity tags as RFC 9110 (13.1.2) has it.
func matches(header, md5 string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || tag == etag(md5) {
			return true
		}
	}
	return false
}

// refusal answers what the centre alone refuses, nil when err is of another kind.
func refusal(err error) error {
	at := ""
	if edit, ok := errors.AsType[*config.EditError](err); ok {
		at = fmt.Sprintf("body.edits[%d].", edit.Index)
	}
	if field, ok := errors.AsType[*config.InvalidError](err); ok {
		return huma.Error400BadRequest(err.Error(), &huma.ErrorDetail{Message: field.Reason, Location: at + field.Field, Value: field.Value})
	}
	if quota, ok := errors.AsType[*config.QuotaError](err); ok {
		return huma.Error403Forbidden(err.Error(), &huma.ErrorDetail{Message: quota.Error(), Location: "quota." + quota.What, Value: quota.Limit})
	}
	if conflict, ok := errors.AsType[*config.ConflictError](err); ok {
		return conflicting(err, conflict, at)
	}
	return nil
}

// conflicting answers a write that does not go with what stands, and says what that is.
func conflicting(err error, e *config.ConflictError, at string) error {
	details := []error{&huma.ErrorDetail{Message: e.Reason, Location: at + "revision", Value: e.Revision}}
	if e.MD5 != "" {
		details = append(details, &huma.ErrorDetail{Message: e.Reason, Location: at + "md5", Value: e.MD5})
	}
	status := http.StatusConflict
	if e.Unmet {
		status = http.StatusPreconditionFailed
	}
	answer := huma.NewError(status, err.Error(), details...)
	if at != "" {
		return answer
	}
	headers := http.Header{"Muster-Revision": {strconv.FormatInt(e.Revision, 10)}}
	if e.MD5 != "" {
		headers["Etag"] = []string{etag(e.MD5)}
	}
	return huma.ErrorWithHeaders(answer, headers)
}

// documents returns the snapshot that can be shown, or why there is none.
func (f *face) documents(_ context.Context) (*config.Snapshot, error) {
	if snap := f.configs.Snapshot(); snap != nil {
		return snap, nil
	}
	return nil, f.failure(config.ErrUnavailable)
}
