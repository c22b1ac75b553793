package nacos

import (
	"errors"
	"net/http"
	"strings"

	"github.com/musterhq/muster/config"
)

// folded returns the namespace that a tenant names: no tenant is the public one.
func folded(tenant string) string {
	if tenant = strings.TrimSpace(tenant); tenant == "" || tenant == "null" { // null is what some clients make of nothing
		return config.DefaultNamespace
	}
	return tenant
}

// present refuses a configuration call that lacks a parameter; a blank one is
// there, and judged later.
func (c *call) present(names ...string) error {
	for _, name := range names {
		if !c.has(name) {
			return caused(http.StatusBadRequest, "Required request parameter '%s' for method parameter type String is not present", name)
		}
	}
	return nil
}

// documentKey returns the document a call is about, checked.
func (c *call) documentKey() (config.Key, error) {
	if err := c.present("dataId", "group"); err != nil {
		return config.Key{}, err
	}
	k := config.Key{Namespace: folded(c.params["tenant"]), Group: c.value("group"), DataID: c.value("dataId")}
	return k, k.Validate()
}

// getConfigs answers a content, or the variant that a parameter asks for.
func (h *Handler) getConfigs(c *call) error {
	switch {
	case c.value("search") == "accurate":
		return h.search(c, false)
	case c.value("search") == "blur":
		return h.search(c, true)
	case c.value("show") == "all":
		return h.record(c)
	case c.isTrue("export"), c.isTrue("exportV2"):
		return caused(http.StatusNotImplemented, "export is not supported")
	case c.isTrue("beta"):
		return h.beta(c)
	}
	return h.content(c)
}

// beta answers that a document has no gray release, as none can be made.
func (h *Handler) beta(c *call) error {
	if _, err := c.documentKey(); err != nil {
		return err
	}
	return c.json(result{200, new("query beta ok"), nil})
}

func (h *Handler) content(c *call) error {
	k, err := c.documentKey()
	if err != nil {
		return err
	}
	noCache(c.w.Header())
	if c.value("tag") != "" { // asks for exactly that gray release
		return notExist
	}
	d, content, err := h.document(c, k)
	if err != nil {
		return err
	}
	if d == nil {
		return notExist
	}
	head := c.w.Header()
	head.Set("Config-Type", d.Type)
	head.Set("Content-MD5", d.MD5)
	head.Set("Last-Modified", d.Modified.UTC().Format(http.TimeFormat))
	return c.answer(http.StatusOK, contentType(d.Type), string(content))
}

// document returns a document and its content, nil when there is none. A
// document whose content is missing is a failure: told as absence, it would have
// clients drop the content that they have.
func (h *Handler) document(c *call, k config.Key) (*config.Document, []byte, error) {
	d, content, err := h.cfg.Configs.Get(c.r.Context(), k)
	if errors.Is(err, config.ErrNotFound) && h.cfg.Configs.View().Snapshot().Head(k) == nil {
		return nil, nil, nil
	}
	return d, content, err
}

var notExist = refuse(http.StatusNotFound, "config data not exist\n")

// noCache keeps proxies from answering in our place.
func noCache(head http.Header) {
	head.Set("Pragma", "no-cache")
	head.Set("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
	head.Set("Cache-Control", "no-cache,no-store")
}

// contentType is that of plain text but for JSON. Nacos before 3.0 serves HTML
// and XML as such; then whoever may publish runs scripts on our origin.
func contentType(kind string) string {
	if kind == "json" {
		return typeJSON
	}
	return typeText
}

// notGray refuses a write of a gray release, which must not become a formal one.
func (c *call) notGray() error {
	if strings.TrimSpace(c.r.Header.Get("betaIps")) != "" || c.value("tag") != "" || c.isTrue("beta") {
		return caused(http.StatusNotImplemented, "gray releases (betaIps, beta, tag) are not supported, nothing was changed")
	}
	return nil
}

func (c *call) author() config.Author {
	return config.Author{User: c.value("src_user", "username"), IP: c.client()}
}

func (h *Handler) publishConfig(c *call) error {
	if c.isTrue("import") || c.isTrue("clone") {
		return caused(http.StatusNotImplemented, "import and clone are not supported")
	}
	if err := c.present("dataId", "group", "content"); err != nil {
		return err
	}
	k, err := c.documentKey()
	if err != nil {
		return err
	}
	content := c.params["content"]
	switch {
	case strings.TrimSpace(content) == "":
		return caused(http.StatusBadRequest, "content is blank : ")
	case len(content) > config.MaxContent:
		return caused(http.StatusBadRequest, "invalid content, over %d", config.MaxContent)
	case c.value("encryptedDataKey") != "": // without its key the content could not be read again
		return caused(http.StatusNotImplemented, "encryptedDataKey is not supported, nothing was changed")
	}
	if err := c.notGray(); err != nil {
		return err
	}
	draft := config.Draft{
		Key: k, Content: []byte(content), Type: c.value("type"), Desc: c.value("desc"), App: c.value("appName"),
		Tags: entries(c.value("config_tags")), Author: c.author(), If: config.Condition{MD5: strings.TrimSpace(c.r.Header.Get("casMd5"))},
	}
	_, receipt, err := h.cfg.Configs.Publish(c.r.Context(), draft)
	if draft.If.MD5 != "" && errors.Is(err, config.ErrConflict) {
		return refuse(http.StatusInternalServerError, "false")
	}
	if err != nil {
		return err
	}
	c.wrote(receipt.Revision, receipt.Lagging)
	return c.json(true)
}

func (h *Handler) deleteConfig(c *call) error {
	if c.value("delType") == "ids" {
		return caused(http.StatusNotImplemented, "delType=ids is not supported, nothing was changed")
	}
	k, err := c.documentKey()
	if err != nil {
		return err
	}
	if err := c.notGray(); err != nil {
		return err
	}
	_, receipt, err := h.cfg.Configs.Delete(c.r.Context(), k, config.Condition{}, c.author())
	if err != nil {
		return err
	}
	c.wrote(receipt.Revision, receipt.Lagging)
	return c.json(true)
}

// entries splits a list at its commas; blank entries are none.
func entries(text string) []string {
	var all []string
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			all = append(all, entry)
		}
	}
	return all
}

// advanced is what a record tells beside the content.
type advanced struct {
	CreateTime int64   `json:"createTime"` // milliseconds
	ModifyTime int64   `json:"modifyTime"`
	CreateUser string  `json:"createUser"`
	CreateIP   string  `json:"createIp"`
	Desc       string  `json:"desc"`
	Use        *string `json:"use"` // not kept, as the two below
	Effect     *string `json:"effect"`
	Schema     *string `json:"schema"`
	ConfigTags string  `json:"configTags"`
}

func newAdvanced(d *config.Document) advanced {
	return advanced{CreateTime: d.Created.UnixMilli(), ModifyTime: d.Modified.UnixMilli(), CreateUser: d.User, CreateIP: d.IP,
		Desc: d.Desc, ConfigTags: strings.Join(d.Tags, ",")}
}

func (h *Handler) catalog(c *call) error {
	k, err := c.documentKey()
	if err != nil {
		return err
	}
	answer := result{Code: http.StatusOK}
	if d := h.cfg.Configs.View().Snapshot().Head(k); d != nil {
		answer.Data = struct {
			advanced
			Type string `json:"type"`
		}{newAdvanced(d), d.Type}
	}
	return c.json(answer)
}

// record answers a document with all that is known of it, nothing when there
// is none.
func (h *Handler) record(c *call) error {
	k, err := c.documentKey()
	if err != nil {
		return err
	}
	d, content, err := h.document(c, k)
	if err != nil {
		return err
	}
	if d == nil {
		return c.text("")
	}
	return c.json(struct {
		document
		advanced
	}{newDocument(d, content, c.params["tenant"]), newAdvanced(d)})
}
