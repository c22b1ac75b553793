package nacos

import (
	"cmp"
	"errors"
	"net/http"
	"path"
	"strings"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos/archive"
)

// brought is what became of documents that were imported or cloned.
type brought struct {
	SuccCount         int            `json:"succCount"`
	SkipCount         int            `json:"skipCount"`
	FailData          []brief        `json:"failData,omitempty"`
	SkipData          []brief        `json:"skipData,omitempty"`
	UnrecognizedCount int            `json:"unrecognizedCount,omitempty"`
	UnrecognizedData  []unrecognized `json:"unrecognizedData,omitempty"`
}

type brief struct {
	DataID string `json:"dataId"`
	Group  string `json:"group"`
	Reason string `json:"reason,omitempty"` // Nacos gives none
}

type unrecognized struct {
	ItemName string `json:"itemName"`
}

// notBrought is an outcome of which no document came.
func (c *call) notBrought(code code, why string) (any, error) {
	c.w.Header().Set(headerReason, why)
	data := map[string]int{"succCount": 0}
	if c.form == wrapped {
		return answered{}, c.json(wrapping{code, codeTexts[code], data})
	}
	return answered{}, c.json(result{int(code), new(codeTexts[code]), data})
}

// policy is what becomes of a document that is there already.
type policy string

const (
	policyAbort     policy = "ABORT" // it fails, and what comes after it is left out
	policySkip      policy = "SKIP"
	policyOverwrite policy = "OVERWRITE"
)

func (c *call) policy() (policy, error) {
	switch p := policy(strings.ToUpper(c.or("policy", string(policyAbort)))); p {
	case policyAbort, policySkip, policyOverwrite:
		return p, nil
	}
	return "", caused(http.StatusBadRequest, "invalid policy : %s", shortened(c.value("policy")))
}

// bring publishes documents one by one; draft makes each when its turn is.
func (h *Handler) bring(c *call, p policy, keys []config.Key, draft func(i int) (config.Draft, error)) (*brought, error) {
	done := &brought{}
	for i, k := range keys {
		d, err := draft(i)
		if err != nil {
			return nil, err
		}
		d.Author = c.author()
		d.If.Absent = p != policyOverwrite
		_, receipt, err := h.cfg.Configs.Publish(c.r.Context(), d)
		switch {
		case err == nil:
			c.configured(receipt)
			done.SuccCount++
			continue
		case p == policySkip && errors.Is(err, config.ErrConflict) && !lost(err):
			done.SkipData = append(done.SkipData, brief{k.DataID, k.Group, ""})
			continue
		case !is(err, config.ErrConflict, config.ErrInvalid, config.ErrQuota) || lost(err):
			return nil, err
		}
		done.FailData = append(done.FailData, brief{k.DataID, k.Group, err.Error()})
		if p == policyAbort {
			for _, k := range keys[i+1:] {
				done.SkipData = append(done.SkipData, brief{k.DataID, k.Group, ""})
			}
			break
		}
	}
	done.SkipCount = len(done.SkipData)
	return done, nil
}

// target returns the namespace that documents are brought to.
func (c *call) target(names ...string) (config.Key, bool) {
	k := config.Key{Namespace: folded(c.value(names...)), Group: "g", DataID: "d"}
	return k, k.Validate() == nil
}

// importZip publishes the documents of a file, after all of it was found sound.
func (h *Handler) importZip(c *call) (any, error) {
	file, err := c.upload()
	if err != nil {
		return nil, err
	}
	p, err := c.policy()
	if err != nil {
		return nil, err
	}
	name := "namespaceId"
	if c.on == config1 {
		name = "namespace"
	}
	to, ok := c.target(name)
	if !ok {
		return c.notBrought(importNamespace, "invalid namespace")
	}
	if len(file) == 0 {
		return c.notBrought(importEmpty, "there is no file")
	}
	read, err := archive.Open(file, archive.Limits{Content: config.MaxContent})
	switch {
	case errors.Is(err, archive.ErrMetadata):
		return c.notBrought(importMetadata, err.Error())
	case err != nil:
		return c.notBrought(importUnreadable, err.Error())
	}
	keys, places, unknown := sound(read, to.Namespace)
	if len(keys) == 0 {
		return c.notBrought(importEmpty, "there is no document")
	}
	done, err := h.bring(c, p, keys, func(i int) (config.Draft, error) {
		d := read.Document(places[i])
		content, err := read.Content(places[i])
		return config.Draft{Key: keys[i], Content: content, Type: typeOf(d), App: d.App, Desc: d.Desc, Tags: d.Tags, Keep: true}, err
	})
	if err != nil {
		return nil, err
	}
	done.UnrecognizedCount, done.UnrecognizedData = len(unknown), each(unknown, func(name string) unrecognized { return unrecognized{name} })
	return told{"import success", done}, nil
}

// sound returns the documents of a file whose names may be, with their places, and
// the names of all else.
func sound(read *archive.Reader, namespace string) (keys []config.Key, places []int, unknown []string) {
	unknown = read.Unrecognized
	for i := range read.Len() {
		d := read.Document(i)
		k := config.Key{Namespace: namespace, Group: d.Group, DataID: d.DataID}
		if k.Validate() != nil {
			unknown = append(unknown, shortened(d.Group+"/"+d.DataID))
			continue
		}
		keys, places = append(keys, k), append(places, i)
	}
	return keys, places, unknown
}

// typeOf returns the type of a document of a file, which its name ends in where
// the file does not tell.
func typeOf(d archive.Document) string {
	suffix := strings.ToLower(strings.TrimPrefix(path.Ext(d.DataID), "."))
	switch suffix {
	case "yml":
		suffix = "yaml"
	case "htm":
		suffix = "html"
	}
	return cmp.Or(d.Type, suffix)
}
