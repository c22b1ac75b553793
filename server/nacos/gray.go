package nacos

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/internal/nacoswire"
)

// The versions of gray rules that there are.
const grayVersion = "1.0.0"

// gray returns the gray release that a call publishes, nil: it publishes the
// document itself.
func (c *call) gray(d config.Draft) (*config.ReleaseDraft, error) {
	g := &config.ReleaseDraft{Draft: d}
	if ips := c.said("betaIps"); ips != "" {
		betaOf(g, ips)
		return g, nil
	}
	if tag := c.value("tag"); tag != "" {
		return g, tagOf(g, tag)
	}
	name := c.value("grayName")
	if name == "" || c.form != wrapped {
		return nil, nil
	}
	rule, err := c.grayRule()
	if err != nil {
		return nil, err
	}
	switch tag, isTag := strings.CutPrefix(name, config.TagPrefix); {
	case name == config.BetaName:
		betaOf(g, rule)
	case isTag && tag != "":
		err = tagOf(g, rule)
		g.Name = name
	default:
		return nil, refuse(http.StatusBadRequest, "gray name must be %s or begin with %s", config.BetaName, config.TagPrefix).as(grayNameUnknown)
	}
	if text := c.value("grayPriority"); text != "" && err == nil {
		if g.Priority, err = strconv.Atoi(text); err != nil {
			err = illegal("grayPriority", "the value should be a number.")
		}
	}
	return g, err
}

// grayRule returns whom a gray release is for: a text, or the expr of an object.
func (c *call) grayRule() (string, error) {
	version, rule := c.value("grayVersion"), c.value("grayRuleExp")
	if strings.HasPrefix(rule, "{") {
		object, ok := nacoswire.Texts([]byte(rule))
		if !ok {
			return "", refuse(http.StatusBadRequest, "grayRuleExp is no JSON object of texts").as(grayRuleFormat)
		}
		if object["version"] != "" {
			version = object["version"]
		}
		rule = object["expr"]
	}
	if version != "" && version != grayVersion {
		return "", refuse(http.StatusBadRequest, "grayVersion must be %s", grayVersion).as(grayRuleVersion)
	}
	return rule, nil
}

// betaOf makes a gray release that of a list of addresses.
func betaOf(g *config.ReleaseDraft, ips string) {
	g.Name, g.Priority, g.Rule = config.BetaName, config.BetaPriority, config.Rule{IPs: entries(ips)}
}

const maxTag = 16 // characters

// tagOf makes a gray release that of a tag.
func tagOf(g *config.ReleaseDraft, tag string) error {
	switch {
	case len(tag) > maxTag:
		return caused(http.StatusBadRequest, "too long tag, over %d", maxTag)
	case tag == "" || strings.ContainsFunc(tag, notOfTag):
		return caused(http.StatusBadRequest, "invalid tag : %s", shortened(tag))
	}
	g.Name, g.Priority, g.Rule = config.TagPrefix+tag, config.TagPriority, config.Rule{Tag: tag}
	return nil
}

func notOfTag(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("_.:-", r)
}

// betaDocument is the gray release of a list of addresses.
type betaDocument struct {
	document

	BetaIPs string `json:"betaIps"`
}

// beta answers the gray release of a list of addresses, null when there is none.
func (h *Handler) beta(c *call) (any, error) {
	r, content, err := h.betaRelease(c)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return told{"query beta ok", nil}, nil
	}
	return told{"query beta ok", betaDocument{newDocument(&r.Document, content, c.tenant()), strings.Join(r.Rule.IPs, ",")}}, nil
}

func (h *Handler) betaRelease(c *call) (*config.Release, []byte, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, nil, err
	}
	r := h.cfg.Configs.View().Snapshot().Release(k, config.BetaName)
	if r == nil {
		return nil, nil, nil
	}
	content, err := h.cfg.Configs.Content(c.r.Context(), &r.Document)
	return r, content, err
}

// stopBeta ends the gray release of a list of addresses; that there is none is
// fine.
func (h *Handler) stopBeta(c *call) (any, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, err
	}
	_, receipt, err := h.cfg.Configs.Withdraw(c.r.Context(), k, config.BetaName, c.author())
	if err != nil {
		return nil, err
	}
	c.configured(receipt)
	return told{"stop beta ok", true}, nil
}

// withdrawTag ends the gray release of a tag; that there is none is fine. The document
// stays in any case.
func (h *Handler) withdrawTag(c *call, k config.Key, tag string) (any, error) {
	_, receipt, err := h.cfg.Configs.Withdraw(c.r.Context(), k, h.releaseOf(k, tag), c.author())
	if err != nil {
		return nil, err
	}
	c.configured(receipt)
	return true, nil
}

// releaseOf returns the name of the gray release of a tag, which may be named as the tag
// or as the release.
func (h *Handler) releaseOf(k config.Key, tag string) string {
	if h.cfg.Configs.View().Snapshot().Release(k, config.TagPrefix+tag) != nil { // tag_x may be a tag
		return config.TagPrefix + tag
	}
	return config.TagPrefix + strings.TrimPrefix(tag, config.TagPrefix)
}

// grayDetail is a gray release as version 3 shows it.
type grayDetail struct {
	detail3

	GrayName string `json:"grayName"`
	GrayRule string `json:"grayRule"`
}

// betaDetail answers the gray release of a list of addresses in version 3.
func (h *Handler) betaDetail(c *call) (any, error) {
	r, content, err := h.betaRelease(c)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, refuse(http.StatusNotFound, "config is not in beta").as(resourceNotFound)
	}
	return grayDetail{newDetail3(&r.Document, content), r.Name, ruleText(r.Name, &r.Rule, r.Priority)}, nil
}

// ruleText returns a rule as Nacos writes it; one that Nacos has not as we do.
func ruleText(name string, rule *config.Rule, priority int) string {
	var text []byte
	switch {
	case name == config.BetaName:
		text, _ = json.Marshal(grayRule{"beta", grayVersion, strings.Join(rule.IPs, ","), priority})
	case strings.HasPrefix(name, config.TagPrefix):
		text, _ = json.Marshal(grayRule{"tag", grayVersion, rule.Tag, priority})
	default:
		text, _ = json.Marshal(rule)
	}
	return string(text)
}

type grayRule struct {
	Type     string `json:"type"`
	Version  string `json:"version"`
	Expr     string `json:"expr"`
	Priority int    `json:"priority"`
}
