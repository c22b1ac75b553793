package nacos

import (
	"errors"
	"net/http"
	"strings"

	"github.com/musterhq/muster/config"
)

// draft returns the document that a call publishes.
func (c *call) draft() (config.Draft, error) {
	group, _ := c.words()
	if err := c.present("dataId", group, "content"); err != nil {
		return config.Draft{}, err
	}
	k, err := c.documentKey()
	if err != nil {
		return config.Draft{}, err
	}
	content := c.params["content"]
	switch {
	case strings.TrimSpace(content) == "":
		return config.Draft{}, caused(http.StatusBadRequest, "content is blank : ")
	case len(content) > config.MaxContent:
		return config.Draft{}, caused(http.StatusBadRequest, "invalid content, over %d", config.MaxContent)
	}
	tags := "configTags"
	if c.on == config1 {
		tags = "config_tags"
	}
	return config.Draft{
		Key: k, Content: []byte(content), Type: c.value("type"), Desc: c.value("desc"), App: c.value("appName"),
		Tags: entries(c.value(tags)), Use: c.value("use"), Effect: c.value("effect"), Schema: c.value("schema"),
		DataKey: c.value("encryptedDataKey"), Author: c.author(), KeepApp: !c.has("appName"), KeepTags: !c.has(tags),
		If: config.Condition{MD5: c.said("casMd5")},
	}, nil
}

// publish publishes a document or, where the call names its clients, a gray
// release of it, which leaves the document alone.
func (h *Handler) publish(c *call) (any, error) {
	d, err := c.draft()
	if err != nil {
		return nil, err
	}
	gray, err := c.gray(d)
	if err != nil {
		return nil, err
	}
	var receipt config.Receipt
	if gray != nil {
		_, receipt, err = h.cfg.Configs.Release(c.r.Context(), *gray)
	} else {
		_, receipt, err = h.cfg.Configs.Publish(c.r.Context(), d)
	}
	if err != nil {
		return nil, c.unpublished(d, err)
	}
	c.configured(receipt)
	return true, nil
}

// onlyTold are the fields of a publish that version 1 refuses with the word false.
var onlyTold = map[string]bool{"desc": true, "app": true, "use": true, "effect": true, "type": true, "schema": true, "tags": true,
	"encryptedDataKey": true}

// unpublished words why a publish was refused, as the version of a call does.
func (c *call) unpublished(d config.Draft, err error) error {
	worded, status, reason := unpublished(d, err)
	switch {
	case worded == nil:
		return err
	case status != 0:
		return c.onlyFalse(status, reason, worded)
	}
	return worded
}

// unpublished words why a publish was refused, nil: as any other error. Where version 1
// says no more than false, there are the status and the reason that go with that.
func unpublished(d config.Draft, err error) (worded *refusal, status int, reason string) {
	if e, ok := errors.AsType[*config.ConflictError](err); ok && d.If.MD5 != "" {
		return refuse(http.StatusInternalServerError, "Cas publish fail, server md5 may have changed.").as(resourceConflict), http.StatusInternalServerError, e.Error()
	}
	if e, ok := errors.AsType[*config.QuotaError](err); ok {
		return refuse(http.StatusTooManyRequests, "%s", e).as(quotaCode(e)).pin(), http.StatusTooManyRequests, e.Error()
	}
	e, ok := errors.AsType[*config.InvalidError](err)
	switch {
	case !ok:
		return nil, 0, ""
	case e.Field == "release":
		return refuse(http.StatusBadRequest, "%s", e).as(grayTooMany), http.StatusBadRequest, e.Error()
	case strings.HasPrefix(e.Field, "rule"):
		return caused(http.StatusBadRequest, "%s", e).as(grayRuleFormat), 0, ""
	case onlyTold[e.Field]:
		return refuse(http.StatusBadRequest, "%s", e), http.StatusBadRequest, e.Error()
	}
	return nil, 0, ""
}

// onlyFalse returns otherwise but in version 1, which says no more than false: the
// reason is in headers then.
func (c *call) onlyFalse(status int, reason string, otherwise *refusal) error {
	c.w.Header().Set(headerReason, reason)
	if c.on == config1 {
		return refuse(status, "false")
	}
	return otherwise
}

// quotaCode returns the code of a quota that was reached.
func quotaCode(e *config.QuotaError) code {
	switch {
	case e.What == "size":
		return quotaOfSize
	case strings.Contains(e.Scope, "/"):
		return quotaOfGroup
	}
	return quotaOfNamespace
}
