package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
)

// Reader is what a client that reads documents says of itself.
type Reader struct {
	Client string `header:"Muster-Client" maxLength:"256" doc:"Its name, for gray releases by percentage and for the push track; when absent its address, which behind a proxy is that of all who come through it"`
	Tag    string `header:"Muster-Client-Tag" maxLength:"128" doc:"Its tag, for gray releases by tag"`
	Labels string `header:"Muster-Client-Labels" doc:"Its labels as name=value, separated by commas, for gray releases by label"`
}

// reader returns who asks for documents.
func (f *face) reader(ctx context.Context, r Reader) (config.Client, error) {
	c := config.Client{ID: r.Client, Tag: r.Tag}
	if host := peerOf(ctx); host.IsValid() {
		c.IP = host.String()
	}
	var err error
	if c.Labels, err = parseLabels(r.Labels); err != nil {
		return c, badHeader(api.HeaderClientLabels, r.Labels, err.Error())
	}
	return f.server.asker(c), nil
}

// maxClientLabels bounds the labels of one client.
const maxClientLabels = 64

// parseLabels reads labels as name=value, separated by commas.
func parseLabels(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	labels := map[string]string{}
	for one := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(one), "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("has %.64q, which is not name=value", one)
		}
		if labels[name] = value; len(labels) > maxClientLabels {
			return nil, fmt.Errorf("are more than %d", maxClientLabels)
		}
	}
	return labels, nil
}

func rawContent() map[string]*huma.Response {
	return map[string]*huma.Response{
		"200": {Description: "The content as it was published", Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}},
		"304": {Description: "The caller has it already"},
	}
}

type configGet struct {
	ConfigPath
	Reader
	Formal      bool   `query:"formal" doc:"Read the document itself, whatever gray release the caller would get"`
	Release     string `query:"release" doc:"Read the gray release of this name"`
	Version     int64  `query:"version" minimum:"1" doc:"Read the version that the history record of this number made"`
	AsOf        string `query:"asOf" doc:"Read the document as it stood at a revision, or at a time of RFC 3339"`
	IfNoneMatch string `header:"If-None-Match" doc:"Entity tag the caller has"`
}

type configContent struct {
	Status      int
	ETag        string `header:"ETag" doc:"MD5 of the content, in quotes"`
	ContentType string `header:"Content-Type"`
	ConfigType  string `header:"Config-Type" doc:"Declared type, such as yaml"`
	Modified    string `header:"Last-Modified"`
	Revision    int64  `header:"Muster-Revision" doc:"Revision of its last change"`
	Version     int64  `header:"Muster-Version" doc:"Number of the history record that made it"`
	Release     string `header:"Muster-Release" doc:"Gray release that it is of; absent when it is the document itself"`
	Why         string `header:"Muster-Release-Why" doc:"Why the caller gets that release"`
	DataKey     string `header:"Encrypted-Data-Key" doc:"The key that came with a content which the client had encrypted"`
	Body        []byte
}

// found is a version of a document that was asked for.
type found struct {
	config.Choice
	past bool // it comes from the history
}

func (f *face) getConfig(ctx context.Context, in *configGet) (*configContent, error) {
	client, err := f.reader(ctx, in.Reader)
	if err != nil {
		return nil, err
	}
	what, err := f.find(ctx, in, client)
	if err != nil {
		return nil, f.failure(err)
	}
	d := what.Document
	answer := &configContent{Status: http.StatusOK, ETag: etag(d.MD5), ContentType: "text/plain; charset=utf-8", ConfigType: d.Type,
		Modified: d.Modified.UTC().Format(http.TimeFormat), Revision: d.Revision, Version: d.Seq, Release: what.Release, Why: what.Why, DataKey: d.DataKey}
	if in.IfNoneMatch != "" && matches(in.IfNoneMatch, d.MD5) {
		if !in.chosen() {
			f.told.Heard(client, func(yield func(config.Key, string) bool) { yield(in.key(), d.MD5) })
		}
		answer.Status, answer.ContentType = http.StatusNotModified, ""
		return answer, nil
	}
	if what.past {
		answer.Body, err = f.configs.ContentOf(ctx, d.Digest)
	} else {
		answer.Body, err = f.configs.Content(ctx, d)
	}
	if err != nil {
		return nil, f.failure(err)
	}
	if !in.chosen() {
		f.told.Sent(client, in.key(), d.MD5, what.Release)
	}
	return answer, nil
}

// chosen reports whether the caller says which content it wants.
func (in *configGet) chosen() bool {
	return in.Formal || in.Release != "" || in.Version > 0 || in.AsOf != ""
}

// find returns the version that a call asks for: without a word about it, the one
// that is the client's.
func (f *face) find(ctx context.Context, in *configGet, client config.Client) (found, error) {
	k := in.key()
	if err := k.Validate(); err != nil {
		return found{}, err
	}
	snap := f.configs.Snapshot()
	if snap == nil {
		return found{}, config.ErrUnavailable
	}
	asked := 0
	for _, is := range []bool{in.Formal, in.Release != "", in.Version > 0, in.AsOf != ""} {
		if is {
			asked++
		}
	}
	var out found
	switch {
	case asked > 1:
		return out, &config.InvalidError{Field: "query", Reason: "has more than one of formal, release, version and asOf"}
	case in.Version > 0:
		return f.version(ctx, k, in.Version)
	case in.AsOf != "":
		at, err := parseMoment(in.AsOf)
		if err != nil {
			return out, err
		}
		h, err := f.configs.AsOf(ctx, k, at)
		return pastOf(h), err
	case in.Formal:
		out.Document = snap.Head(k)
	case in.Release != "":
		if r := snap.Release(k, in.Release); r != nil {
			out.Choice = config.Choice{Document: &r.Document, Release: r.Name}
		}
	default:
		out.Choice = snap.Choose(k, client)
	}
	if out.Document == nil {
		return out, snap.Absent(k)
	}
	return out, nil
}

func (f *face) version(ctx context.Context, k config.Key, seq int64) (found, error) {
	h, err := f.configs.Record(ctx, k, seq)
	if err == nil && h.Op == config.OpDelete {
		err = fmt.Errorf("record %d of %s is of a delete: %w", seq, k, config.ErrNotFound)
	}
	return pastOf(h), err
}

// pastOf returns what a history record holds. Head of a record shares its
// revision.
func pastOf(h config.History) found {
	return found{config.Choice{Document: &h.Head, Release: h.Release}, true}
}

// parseMoment reads a revision, or a time.
func parseMoment(text string) (config.Moment, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
		return config.Moment{Revision: n}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return config.Moment{}, &config.InvalidError{Field: "asOf", Value: text, Reason: "is neither a revision nor a time such as 2026-01-02T15:04:05Z"}
	}
	return config.Moment{Time: at}, nil
}

type configHeadAnswer struct {
	Shown
	Body api.Config
}

func (f *face) getConfigHead(ctx context.Context, p *ConfigPath) (*configHeadAnswer, error) {
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	d := snap.Head(p.key())
	if d == nil {
		return nil, f.failure(snap.Absent(p.key()))
	}
	return &configHeadAnswer{Shown{etag(d.MD5), snap.Revision()}, headOf(snap, d)}, nil
}
