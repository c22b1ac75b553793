package nacos

import (
	"errors"
	"net/http"

	"github.com/musterhq/muster/registry"
)

func (h *Handler) registerInstance(c *call) error {
	reg, err := c.registration()
	if err != nil {
		return err
	}
	receipt, err := h.cfg.Registry.Register(c.r.Context(), reg)
	if err != nil {
		return err
	}
	c.wrote(receipt.Revision, receipt.Lagging)
	return c.ok()
}

func (h *Handler) deregisterInstance(c *call) error {
	k, err := c.instanceKey()
	if err != nil {
		return err
	}
	receipt, err := h.cfg.Registry.Deregister(c.r.Context(), k, c.flag("ephemeral"))
	if err != nil {
		return err
	}
	c.wrote(receipt.Revision, receipt.Lagging)
	return c.ok()
}

// updateInstance lays an operator's say over an instance. Nacos fills what is
// absent with defaults, so that setting the weight enables a disabled instance;
// here what is absent stays. Metadata replaces what the operator said before and
// is merged over the owner's. As in Nacos, health is ignored, and an unknown
// instance of a known service is fine and not created.
func (h *Handler) updateInstance(c *call) error {
	k, err := h.override(c)
	if !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	if h.cfg.Registry.Snapshot().Service(k.Service) == nil {
		return serviceNotFound(k.Service)
	}
	return c.ok()
}

// patchInstance is updateInstance, but an unknown instance is an error.
func (h *Handler) patchInstance(c *call) error {
	k, err := h.override(c)
	if !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	return missing(h.cfg.Registry.Snapshot(), k, c.or("clusterName", registry.DefaultCluster))
}

// override does the update and answers, unless the instance is not there.
func (h *Handler) override(c *call) (registry.InstanceKey, error) {
	k, err := c.instanceKey()
	if err != nil {
		return k, err
	}
	edit := registry.Edit{Replace: true}
	if c.value("enabled", "enable") != "" {
		edit.Enabled = new(c.flag("enabled", "enable"))
	}
	if edit.Weight, err = c.weight(); err != nil {
		return k, err
	}
	if edit.Metadata, err = c.metadata(); err != nil {
		return k, err
	}
	receipt, err := h.cfg.Registry.Override(c.r.Context(), k, edit)
	if err != nil {
		return k, err
	}
	c.wrote(receipt.Revision, receipt.Lagging)
	return k, c.ok()
}

func serviceNotFound(k registry.ServiceKey) error {
	return refuse(http.StatusBadRequest, "service not found, namespace: %s, serviceName: %s", k.Namespace, k.Grouped())
}
