package nacos

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/musterhq/muster/config"
)

// What Nacos answers where nobody set a limit. Here nothing is limited then.
const (
	defaultQuota     = 200
	defaultMaxSize   = 102400
	defaultAggrCount = 10000
	defaultAggrSize  = 1024
)

// capacity is a quota of a namespace or group, and what is used of it.
type capacity struct {
	ID           string  `json:"id"`
	Quota        int64   `json:"quota"`
	Usage        int64   `json:"usage"`
	MaxSize      int64   `json:"maxSize"`
	MaxAggrCount int64   `json:"maxAggrCount"`
	MaxAggrSize  int64   `json:"maxAggrSize"`
	GmtCreate    *string `json:"gmtCreate"` // not kept, as the one below
	GmtModified  *string `json:"gmtModified"`
	Tenant       string  `json:"tenant,omitempty"`
	Group        string  `json:"group,omitempty"`
}

// quotaScope returns the namespace, and perhaps the group in it, that a call for
// quotas is about.
func (c *call) quotaScope() (namespace, group string, err error) {
	groupName, namespaceName := c.words()
	group, namespace = c.value(groupName), c.value(namespaceName)
	if group == "" && namespace == "" {
		r := caused(http.StatusBadRequest, "the parameter %s and %s cannot be null at the same time", groupName, namespaceName)
		return "", "", r.as(paramInvalid).pin()
	}
	k := config.Key{Namespace: folded(namespace), Group: group, DataID: "d"}
	if group == "" {
		k.Group = "g"
	}
	if err := k.Validate(); err != nil {
		return "", "", outward(err, c.form).pin()
	}
	return k.Namespace, group, c.may(k.Namespace, group)
}

func (h *Handler) capacity(c *call) (any, error) {
	namespace, group, err := c.quotaScope()
	if err != nil {
		return nil, err
	}
	snap := h.cfg.Configs.View().Snapshot()
	hard, used := snap.Policy(namespace, group).Hard, snap.Usage(namespace, group)
	answer := capacity{ID: number(namespace + "/" + group), Quota: hard.Count, Usage: used.Count, MaxSize: hard.Size,
		MaxAggrCount: defaultAggrCount, MaxAggrSize: defaultAggrSize, Tenant: namespace, Group: group}
	if answer.Quota == 0 {
		answer.Quota = defaultQuota
	}
	if answer.MaxSize == 0 {
		answer.MaxSize = defaultMaxSize
	}
	return answer, nil
}

// setCapacity sets the quotas of a namespace or group, of which 0 is none. Those of
// parts of an aggregate are taken without effect.
func (h *Handler) setCapacity(c *call) (any, error) {
	namespace, group, err := c.quotaScope()
	if err != nil {
		return nil, err
	}
	limits := map[string]*int64{"quota": nil, "maxSize": nil, "maxAggrCount": nil, "maxAggrSize": nil}
	some := false
	for name := range limits {
		if c.value(name) == "" {
			continue
		}
		n, err := strconv.ParseInt(c.value(name), 10, 32)
		if err != nil || n < 0 {
			return nil, illegal(name, "the value should be a number, not below 0.")
		}
		limits[name], some = &n, true
	}
	if !some {
		return nil, caused(http.StatusBadRequest, "quota, maxSize, maxAggrCount and maxAggrSize cannot be null at the same time").as(paramInvalid).pin()
	}
	receipt, err := h.setQuota(c, namespace, group, limits["quota"], limits["maxSize"])
	if err != nil {
		return nil, err
	}
	c.configured(receipt)
	return told{"the capacity was set", true}, nil
}

// setQuota changes two parts of a policy, on what stands.
func (h *Handler) setQuota(c *call, namespace, group string, count, size *int64) (receipt config.Receipt, err error) {
	for range 10 { // of races against other operators
		p := *h.cfg.Configs.View().Snapshot().Policy(namespace, group)
		if count != nil {
			p.Hard.Count = *count
		}
		if size != nil {
			p.Hard.Size = *size
		}
		receipt, err = h.cfg.Configs.SetPolicy(c.r.Context(), p, p.Revision)
		if !errors.Is(err, config.ErrConflict) {
			break
		}
	}
	return receipt, err
}
