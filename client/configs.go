package client

import (
	"context"
	"crypto/md5" //nolint:gosec // the entity tag of the API, not a defence
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/api"
)

// Document is the content of a configuration document and what travels with
// it.
type Document struct {
	Content     []byte
	MD5         string // of Content, in lower-case hexadecimal
	Type        string // such as yaml; may be empty
	ContentType string // media type
	Revision    int64
	Version     int64  // number of the history record that made it
	Release     string // gray release that it came from; empty: everybody's
	Why         string // the client got that release
	DataKey     string // that came with a content which a client had encrypted
}

// Config returns the document n, or an error that is ErrNotFound.
func (c *Client) Config(ctx context.Context, n Name) (Document, error) {
	d, _, err := c.ConfigIfChanged(ctx, n, "")
	return d, err
}

// ConfigIfChanged returns the document n and true, or false while its MD5 is
// still known. An empty known always gets the document.
func (c *Client) ConfigIfChanged(ctx context.Context, n Name, known string) (d Document, changed bool, err error) {
	return c.config(ctx, n, nil, known)
}

// At says which content of a document is meant; one of its fields at most is
// given. The zero At is what the client gets by its Identity.
type At struct {
	Formal  bool   // the document itself, whatever gray release the client would get
	Release string // the gray release of this name
	Version int64  // what the history record of this number made
	AsOf    string // what stood at a revision, or at a time of RFC 3339
}

// ConfigAt returns a document as it stands, or stood; the error is ErrNotFound where
// it did not.
func (c *Client) ConfigAt(ctx context.Context, n Name, at At) (Document, error) {
	query := url.Values{}
	if at.Formal {
		query.Set("formal", "true")
	}
	set(query, "release", at.Release)
	setInt(query, "version", int(at.Version))
	set(query, "asOf", at.AsOf)
	d, _, err := c.config(ctx, n, query, "")
	return d, err
}

func (c *Client) config(ctx context.Context, n Name, query url.Values, known string) (d Document, changed bool, err error) {
	r := call{method: http.MethodGet, path: n.service(api.PathConfig), query: query, header: c.identity.Clone()}
	if known != "" {
		r.header.Set("If-None-Match", quote(known))
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return Document{}, false, err
	}
	if a.status == http.StatusNotModified {
		if known == "" {
			return Document{}, false, fmt.Errorf("config %s: answered 304 where nothing was known", n)
		}
		return Document{}, false, nil
	}
	d = Document{
		Content: a.body, MD5: Digest(a.body), Type: a.header.Get("Config-Type"), ContentType: a.header.Get("Content-Type"),
		Release: a.header.Get(api.HeaderRelease), Why: a.header.Get(api.HeaderReleaseWhy), DataKey: a.header.Get(api.HeaderDataKey),
	}
	d.Revision, _ = strconv.ParseInt(a.header.Get(api.HeaderRevision), 10, 64) // absent is 0
	d.Version, _ = strconv.ParseInt(a.header.Get(api.HeaderVersion), 10, 64)
	// A proxy on the way may have cut the body: then the tag tells.
	if tag := unquote(a.header.Get("ETag")); isMD5.MatchString(tag) && tag != d.MD5 {
		return Document{}, false, fmt.Errorf("config %s: the content's MD5 is %s, its entity tag says %s", n, d.MD5, tag)
	}
	return d, true, nil
}

// ConfigHead returns a document without its content; the error is ErrNotFound where
// there is none.
func (c *Client) ConfigHead(ctx context.Context, n Name) (api.Config, error) {
	return exchange[api.Config](ctx, c, call{method: http.MethodGet, path: n.service(api.PathConfigHead)}, nil)
}

// ConfigWrite says how PutConfig writes. The zero value writes whatever stands.
type ConfigWrite struct {
	Type, Desc, App string   // empty leaves it as it stands
	Use, Effect     string   // empty leaves it as it stands
	Tags            []string // none leaves them as they stand
	Schema          string   // a JSON Schema; empty leaves it as it stands
	Encrypt         *bool    // whether it is encrypted where it is stored; nil leaves it as it stands
	DataKey         string   // that goes with a content which the caller has encrypted
	// IfMatch is the MD5 that must stand; empty means any.
	IfMatch string
	// IfRevision is the revision at which it must have been changed last; 0 means any.
	IfRevision int64
	// CreateOnly refuses to write over an existing document.
	CreateOnly bool
}

// call returns the call that publishes content at path.
func (w ConfigWrite) call(path string, content []byte) call {
	r := call{method: http.MethodPut, path: path, body: content, query: url.Values{},
		header: http.Header{"Content-Type": {"application/octet-stream"}}}
	set(r.query, "type", w.Type)
	set(r.query, "desc", w.Desc)
	set(r.query, "app", w.App)
	set(r.query, "use", w.Use)
	set(r.query, "effect", w.Effect)
	set(r.query, "tags", strings.Join(w.Tags, ","))
	set(r.query, "schema", w.Schema)
	if w.Encrypt != nil {
		r.query.Set("encrypt", strconv.FormatBool(*w.Encrypt))
	}
	if w.DataKey != "" {
		r.header.Set(api.HeaderDataKey, w.DataKey)
	}
	return ConfigTerms{w.IfMatch, w.IfRevision, w.CreateOnly}.under(r)
}

// ConfigTerms are what a change of a document depends on. The zero ConfigTerms are none.
type ConfigTerms struct {
	IfMatch    string // the MD5 that must stand
	IfRevision int64  // the revision at which it must have been changed last
	CreateOnly bool   // there must be no document
}

func (t ConfigTerms) under(r call) call {
	if r.query == nil {
		r.query = url.Values{}
	}
	setInt(r.query, "ifRevision", int(t.IfRevision))
	r = under(r, []Terms{{IfMatch: t.IfMatch, CreateOnly: t.CreateOnly}})
	r.once = r.once || t.IfRevision != 0
	return r
}

// PutConfig publishes content as the document n and returns what stands then.
// The error is ErrConflict when a condition does not hold.
func (c *Client) PutConfig(ctx context.Context, n Name, content []byte, w ConfigWrite) (api.ConfigWritten, error) {
	return exchange[api.ConfigWritten](ctx, c, w.call(n.service(api.PathConfig), content), nil)
}

// SetConfigs changes several documents at one revision, or none of them.
func (c *Client) SetConfigs(ctx context.Context, edits []api.ConfigEdit) (api.ConfigSetAnswer, error) {
	r := call{method: http.MethodPost, path: api.PathConfigSet, once: slices.ContainsFunc(edits, func(e api.ConfigEdit) bool {
		return e.IfMD5 != "" || e.IfRevision != 0 || e.IfAbsent
	})}
	return exchange[api.ConfigSetAnswer](ctx, c, r, api.ConfigSet{Edits: edits})
}

// DeleteConfig removes the document n, while the terms hold.
func (c *Client) DeleteConfig(ctx context.Context, n Name, on ...ConfigTerms) error {
	r := call{method: http.MethodDelete, path: n.service(api.PathConfig)}
	for _, t := range on {
		r = t.under(r)
	}
	_, err := c.do(ctx, r)
	return err
}

// Configs returns one page of the documents that q selects, without content.
func (c *Client) Configs(ctx context.Context, q Query) (api.ConfigList, error) {
	return c.FindConfigs(ctx, ConfigQuery{Query: q})
}

// ConfigQuery selects a page of documents; what is empty selects nothing.
type ConfigQuery struct {
	Query

	DataID  string   // in which * stands for any text
	App     string   // the application
	Tags    []string // one of which it has
	Types   []string // one of which it is
	Content string   // a text that it holds
}

// FindConfigs returns one page of the documents that q selects, without content.
func (c *Client) FindConfigs(ctx context.Context, q ConfigQuery) (api.ConfigList, error) {
	v := q.values()
	set(v, "dataId", q.DataID)
	set(v, "app", q.App)
	set(v, "tag", strings.Join(q.Tags, ","))
	set(v, "type", strings.Join(q.Types, ","))
	set(v, "content", q.Content)
	return exchange[api.ConfigList](ctx, c, call{method: http.MethodGet, path: api.PathConfigs, query: v}, nil)
}

// MaxWatchWait is the longest a server holds a watch.
const MaxWatchWait = time.Minute

// WatchConfigs returns once one of the documents differs from what refs say
// the caller has, with those that do; or, after wait, with none.
func (c *Client) WatchConfigs(ctx context.Context, refs []api.ConfigRef, wait time.Duration) ([]api.ConfigRef, error) {
	a, err := c.WatchGroups(ctx, refs, nil, wait)
	return a.Changed, err
}

// WatchGroups is WatchConfigs that returns as well once a group has other
// documents than when its digest was told, with those that it has.
func (c *Client) WatchGroups(ctx context.Context, refs []api.ConfigRef, groups []api.ConfigGroup, wait time.Duration) (api.ConfigChanges, error) {
	if wait < 0 || wait > MaxWatchWait {
		return api.ConfigChanges{}, fmt.Errorf("wait %v is not within 0 to %v: %w", wait, MaxWatchWait, ErrInvalid)
	}
	body := api.ConfigWatch{Configs: refs, Groups: groups, Wait: int(wait / time.Millisecond)}
	if body.Configs == nil {
		body.Configs = []api.ConfigRef{}
	}
	r := call{method: http.MethodPost, path: api.PathWatch, wait: wait, header: c.identity.Clone()}
	return exchange[api.ConfigChanges](ctx, c, r, body)
}

// ReportConfigs tells the server what the agent did with documents, at most
// api.MaxConfigReports of them. The error is ErrNotFound where the server does
// not take reports.
func (c *Client) ReportConfigs(ctx context.Context, agentID string, reports []api.ConfigReport) error {
	r := call{method: http.MethodPut, path: fill(api.PathConfigReports, agentID), header: http.Header{"Content-Type": {"application/json"}}}
	var err error
	if r.body, err = json.Marshal(api.ConfigReports{Reports: reports}); err != nil {
		return fmt.Errorf("%s %s: %w: %w", r.method, r.path, ErrInvalid, err)
	}
	_, err = c.do(ctx, r)
	return err
}

// Digest returns the MD5 of content as entity tags carry it.
func Digest(content []byte) string {
	sum := md5.Sum(content) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

var isMD5 = regexp.MustCompile(`^[0-9a-f]{32}$`)

func quote(tag string) string { return `"` + tag + `"` }

func unquote(tag string) string { return strings.Trim(strings.TrimPrefix(tag, "W/"), `"`) }
