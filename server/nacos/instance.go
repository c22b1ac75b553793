package nacos

import (
	"errors"
	"net/http"

	"github.com/musterhq/muster/registry"
)

func (h *Handler) registerInstance(c *call) (any, error) {
	reg, err := c.registration()
	if err != nil {
		return nil, err
	}
	return c.written(h.cfg.Registry.Register(c.r.Context(), reg))
}

func (h *Handler) deregisterInstance(c *call) (any, error) {
	k, err := c.instanceKey()
	if err != nil {
		return nil, err
	}
	return c.written(h.cfg.Registry.Deregister(c.r.Context(), k, c.flag("ephemeral")))
}

// updateInstance lays an operator's say over an instance. Nacos fills what is
// absent with defaults, so that setting the weight enables a disabled instance;
// here what is absent stays. Metadata replaces what the operator said before and
// is merged over the owner's. As in Nacos, health is ignored, and an unknown
// instance of a known service is fine and not created.
func (h *Handler) updateInstance(c *call) (any, error) {
	k, receipt, err := h.override(c)
	if errors.Is(err, registry.ErrNotFound) {
		if h.cfg.Registry.Snapshot().Service(k.Service) == nil {
			return nil, serviceNotFound(k.Service)
		}
		return ok, nil
	}
	return c.written(receipt, err)
}

// patchInstance is updateInstance, but an unknown instance is an error.
func (h *Handler) patchInstance(c *call) (any, error) {
	k, receipt, err := h.override(c)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, missing(h.cfg.Registry.Snapshot(), k, c.or("clusterName", registry.DefaultCluster))
	}
	return c.written(receipt, err)
}

// patchWhole is the patch of version 2, which wants everything.
func (h *Handler) patchWhole(c *call) (any, error) {
	for _, name := range []string{"weight", "enabled", "metadata"} {
		if _, err := c.required(name); err != nil {
			return nil, err
		}
	}
	return h.patchInstance(c)
}

func (h *Handler) override(c *call) (registry.InstanceKey, registry.Receipt, error) {
	k, err := c.instanceKey()
	if err != nil {
		return k, registry.Receipt{}, err
	}
	edit := registry.Edit{Replace: true}
	if c.value("enabled", "enable") != "" {
		edit.Enabled = new(c.flag("enabled", "enable"))
	}
	if edit.Weight, err = c.weight(); err != nil {
		return k, registry.Receipt{}, err
	}
	if edit.Metadata, err = c.metadata(); err != nil {
		return k, registry.Receipt{}, err
	}
	receipt, err := h.cfg.Registry.Override(c.r.Context(), k, edit)
	return k, receipt, err
}

// written answers a write, and tells at which revision it stands.
func (c *call) written(receipt registry.Receipt, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	c.wrote(receipt.Revision, receipt.Lagging)
	return ok, nil
}

func serviceNotFound(k registry.ServiceKey) error {
	return refuse(http.StatusBadRequest, "service not found, namespace: %s, serviceName: %s", k.Namespace, k.Grouped()).as(serviceNotFoundV2)
}
