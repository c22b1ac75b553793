package nacos

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/registry"
)

// namespace is a namespace as consoles show it.
type namespace struct {
	Namespace   string  `json:"namespace"`
	ShowName    string  `json:"namespaceShowName"`
	Description *string `json:"namespaceDesc"`
	Quota       int     `json:"quota"`
	ConfigCount int     `json:"configCount"`
	Type        int     `json:"type"`
}

// Types of namespaces. What an operator made is of another type in version 3.
const (
	typeGlobal  = 0
	typeCustom3 = 1
	typeCustom  = 2
)

// shown returns a namespace as a surface shows it: the public one has an empty
// id up to version 2.
func (h *Handler) shown(c *call, n *registry.Namespace, documents map[string]int) namespace {
	v := namespace{n.ID, n.Name, &n.Description, 200, documents[n.ID], typeCustom}
	if v.ShowName == "" {
		v.ShowName = n.ID
	}
	third := c.on == core3 || c.on == consoleCore3
	if third {
		v.Type = typeCustom3
	}
	if n.ID == registry.DefaultNamespace {
		v.Type = typeGlobal
		if !third {
			v.Namespace = ""
		}
	}
	return v
}

// public is the namespace that is always there, as it is.
var public = &registry.Namespace{ID: registry.DefaultNamespace, Name: "public", Description: "Default Namespace"}

// namespace returns what is declared of a namespace, nil when nothing is.
func (h *Handler) namespace(id string) *registry.Namespace {
	if id == "" || id == registry.DefaultNamespace {
		return public
	}
	for _, n := range h.cfg.Registry.Snapshot().Namespaces() {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// sees reports whether the caller is told of a namespace: of the public one everybody is.
func (c *call) sees(n *registry.Namespace) bool {
	return n.ID == registry.DefaultNamespace || c.caller.Sees(n.ID)
}

// documents counts the documents of each namespace.
func (h *Handler) documents() map[string]int {
	n := map[string]int{}
	if snap := h.cfg.Configs.View().Snapshot(); snap != nil {
		for _, d := range snap.Documents() {
			n[d.Key.Namespace]++
		}
	}
	return n
}

// namespaces lists the declared ones, the public one first.
func (h *Handler) namespaces(c *call) (any, error) {
	documents := h.documents()
	all := []namespace{h.shown(c, h.namespace(""), documents)}
	for _, n := range h.cfg.Registry.Snapshot().Namespaces() {
		if n.ID != registry.DefaultNamespace && c.sees(n) {
			all = append(all, h.shown(c, n, documents))
		}
	}
	return all, nil
}

// namespaces1 answers one of three things, as old consoles ask.
func (h *Handler) namespaces1(c *call) (any, error) {
	switch {
	case c.value("show") == "all":
		n := h.namespace(c.value("namespaceId"))
		if n == nil || !c.sees(n) {
			return nil, refuse(http.StatusNotFound, "namespaceId [ %s ] not exist", shortened(c.value("namespaceId")))
		}
		return h.shown(c, n, h.documents()), nil
	case c.isTrue("checkNamespaceIdExist"):
		return h.namespaceExists(c)
	}
	all, err := h.namespaces(c)
	return result{http.StatusOK, nil, all}, err
}

func (h *Handler) namespaceOf(c *call) (any, error) {
	id := c.value("namespaceId")
	n := h.namespace(id)
	if n == nil || !c.sees(n) {
		return nil, refuse(http.StatusNotFound, "namespaceId [ %s ] not exist", shortened(id)).as(namespaceUnknown)
	}
	return h.shown(c, n, h.documents()), nil
}

func (h *Handler) namespaceExists(c *call) (any, error) {
	id := c.value("customNamespaceId", "namespaceId")
	return id != "" && h.namespace(id) != nil, nil
}

func (h *Handler) namespaceCount(c *call) (any, error) {
	if exists, _ := h.namespaceExists(c); exists == true {
		return 1, nil
	}
	return 0, nil
}

// namespaceSpec reads a namespace to write; an id that is left out is drawn.
func (c *call) namespaceSpec(ids ...string) (registry.Namespace, error) {
	n := registry.Namespace{ID: c.value(ids...), Description: c.value("namespaceDesc")}
	var err error
	if c.on == console1 && c.r.Method == http.MethodPut {
		n.Name, err = c.required("namespaceShowName")
	} else {
		n.Name, err = c.required("namespaceName")
	}
	return n, err
}

// uuid draws a random UUID.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it does not fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (h *Handler) createNamespace(c *call) (any, error) {
	ids := []string{"customNamespaceId", "namespaceId"}
	if c.on == console1 {
		ids = ids[:1]
	}
	n, err := c.namespaceSpec(ids...)
	if err != nil {
		return nil, err
	}
	if n.ID == "" {
		n.ID = uuid()
	}
	receipt, err := h.cfg.Registry.CreateNamespace(c.r.Context(), n)
	if conflicts(err) {
		err = refuse(http.StatusBadRequest, "namespaceId [%s] already exist.", n.ID).as(namespaceExists)
	}
	return c.declared(receipt, err)
}

func (h *Handler) updateNamespace(c *call) (any, error) {
	id := "namespaceId"
	if c.on == console1 {
		id = "namespace"
	}
	n, err := c.namespaceSpec(id)
	if err != nil {
		return nil, err
	}
	if n.ID == "" {
		return nil, absent{id}
	}
	if n.ID == registry.DefaultNamespace {
		return c.declared(registry.Receipt{}, refuse(http.StatusBadRequest, "the namespace public stays as it is").as(namespaceIllegal))
	}
	receipt, err := h.cfg.Registry.UpdateNamespace(c.r.Context(), n)
	if errors.Is(err, registry.ErrNotFound) {
		err = refuse(http.StatusNotFound, "namespaceId [ %s ] not exist", n.ID).as(namespaceUnknown)
	}
	return c.declared(receipt, err)
}

// deleteNamespace takes the declaration back; what lives in it stays.
func (h *Handler) deleteNamespace(c *call) (any, error) {
	id, err := c.required("namespaceId")
	if err != nil {
		return nil, err
	}
	if id == registry.DefaultNamespace {
		return true, nil // as of one that is not declared
	}
	receipt, err := h.cfg.Registry.DeleteNamespace(c.r.Context(), id, true)
	if errors.Is(err, registry.ErrNotFound) {
		return true, nil
	}
	return c.declared(receipt, err)
}

// declared answers a write of a namespace. Of version 1 a refusal is the value
// false.
func (c *call) declared(receipt registry.Receipt, err error) (any, error) {
	if bad, ok := errors.AsType[*registry.InvalidError](err); ok {
		err = refuse(http.StatusBadRequest, "%s [%s] mismatch the pattern", strings.ReplaceAll(bad.Field, "namespace", "namespaceId"), bad.Value).as(namespaceIllegal)
	}
	if _, refused := errors.AsType[*refusal](err); refused && c.on == console1 {
		audit.From(c.r.Context()).Failed()
		return false, nil
	}
	if err != nil {
		return nil, err
	}
	c.wrote(receipt.Revision, receipt.Lagging)
	return true, nil
}
