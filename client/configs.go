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
	Release     string // gray release that it came from; empty: everybody's
}

// Config returns the document n, or an error that is ErrNotFound.
func (c *Client) Config(ctx context.Context, n Name) (Document, error) {
	d, _, err := c.ConfigIfChanged(ctx, n, "")
	return d, err
}

// ConfigIfChanged returns the document n and true, or false while its MD5 is
// still known. An empty known always gets the document.
func (c *Client) ConfigIfChanged(ctx context.Context, n Name, known string) (d Document, changed bool, err error) {
	r := call{method: http.MethodGet, path: n.service(api.PathConfig), header: c.identity.Clone()}
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
		Content: a.body, MD5: Digest(a.body),
		Type: a.header.Get("Config-Type"), ContentType: a.header.Get("Content-Type"), Release: a.header.Get(api.HeaderRelease),
	}
	d.Revision, _ = strconv.ParseInt(a.header.Get(api.HeaderRevision), 10, 64) // absent is 0
	// A proxy on the way may have cut the body: then the tag tells.
	if tag := unquote(a.header.Get("ETag")); isMD5.MatchString(tag) && tag != d.MD5 {
		return Document{}, false, fmt.Errorf("config %s: the content's MD5 is %s, its entity tag says %s", n, d.MD5, tag)
	}
	return d, true, nil
}

// ConfigWrite says how PutConfig writes. The zero value writes whatever stands.
type ConfigWrite struct {
	Type, Desc, App string // empty leaves it to the server
	// IfMatch is the MD5 that must stand; empty means any.
	IfMatch string
	// CreateOnly refuses to write over an existing document.
	CreateOnly bool
}

// PutConfig publishes content as the document n and returns what stands then.
// The error is ErrConflict when IfMatch or CreateOnly does not hold.
func (c *Client) PutConfig(ctx context.Context, n Name, content []byte, w ConfigWrite) (api.Config, error) {
	r := call{
		method: http.MethodPut, path: n.service(api.PathConfig), body: content,
		query: url.Values{}, header: http.Header{"Content-Type": {"application/octet-stream"}},
		// Told twice, a compare would meet its own first effect.
		once: w.IfMatch != "" || w.CreateOnly,
	}
	set(r.query, "type", w.Type)
	set(r.query, "desc", w.Desc)
	set(r.query, "app", w.App)
	if w.IfMatch != "" {
		r.header.Set("If-Match", quote(w.IfMatch))
	}
	if w.CreateOnly {
		r.header.Set("If-None-Match", "*")
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return api.Config{}, err
	}
	var out api.Config
	if err := json.Unmarshal(a.body, &out); err != nil {
		return api.Config{}, fmt.Errorf("config %s: the answer is not the expected JSON: %w", n, err)
	}
	return out, nil
}

// DeleteConfig removes the document n; with an MD5 only while that stands.
func (c *Client) DeleteConfig(ctx context.Context, n Name, ifMatch string) error {
	r := call{method: http.MethodDelete, path: n.service(api.PathConfig), header: http.Header{}}
	if ifMatch != "" {
		r.header.Set("If-Match", quote(ifMatch))
	}
	_, err := c.do(ctx, r)
	return err
}

// Configs returns one page of the documents that q selects, without content.
func (c *Client) Configs(ctx context.Context, q Query) (api.ConfigList, error) {
	return exchange[api.ConfigList](ctx, c, call{method: http.MethodGet, path: api.PathConfigs, query: q.values()}, nil)
}

// MaxWatchWait is the longest a server holds a watch.
const MaxWatchWait = time.Minute

// WatchConfigs returns once one of the documents differs from what refs say
// the caller has, with those that do; or, after wait, with none.
func (c *Client) WatchConfigs(ctx context.Context, refs []api.ConfigRef, wait time.Duration) ([]api.ConfigRef, error) {
	if wait < 0 || wait > MaxWatchWait {
		return nil, fmt.Errorf("wait %v is not within 0 to %v: %w", wait, MaxWatchWait, ErrInvalid)
	}
	body := api.ConfigWatch{Configs: refs, Wait: int(wait / time.Millisecond)}
	r := call{method: http.MethodPost, path: api.PathWatch, wait: wait, header: c.identity.Clone()}
	a, err := exchange[api.ConfigChanges](ctx, c, r, body)
	return a.Changed, err
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
