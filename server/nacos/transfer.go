package nacos

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config"
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
	c.caller.ChecksEach()
	c.w.Header().Set(headerReason, why)
	audit.From(c.r.Context()).Failed()
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

// atOnce is how many documents are published together, where one does not depend
// on the other: the store groups their writes.
const atOnce = 8

// bring publishes documents, if the caller may publish all of them; draft makes each when
// its turn is.
func (h *Handler) bring(c *call, p policy, keys []config.Key, draft func(i int) (config.Draft, error)) (*brought, error) {
	if err := c.mayEach(keys); err != nil {
		return nil, err
	}
	at, stopped := newBringing(c, p, keys), len(keys)
	work, ctx := errgroup.WithContext(c.r.Context())
	work.SetLimit(atOnce)
	for i := range keys {
		one := func() error {
			d, err := draft(i)
			if err != nil {
				return err
			}
			return at.publish(ctx, h.cfg.Configs, i, d)
		}
		if p != policyAbort {
			work.Go(one)
			continue
		}
		if err := one(); err != nil {
			return nil, err
		}
		if at.failed[i] != "" {
			stopped = i + 1
			break
		}
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	return at.result(stopped), nil
}

// bringing is what becomes of documents.
type bringing struct {
	c    *call
	p    policy
	by   config.Author
	keys []config.Key

	// By the place of a document, which one call of publish writes to.
	skipped []bool
	failed  []string // why

	mu   sync.Mutex
	last config.Receipt // guarded by mu: the newest, with warnings of all
}

func newBringing(c *call, p policy, keys []config.Key) *bringing {
	return &bringing{c: c, p: p, by: c.author(), keys: keys, skipped: make([]bool, len(keys)), failed: make([]string, len(keys))}
}

// publish publishes the document at a place. What stands or the document is to
// blame for is no error.
func (b *bringing) publish(ctx context.Context, centre Configs, i int, d config.Draft) error {
	d.Author = b.by
	d.If.Absent = b.p != policyOverwrite
	_, receipt, err := centre.Publish(ctx, d)
	there := errors.Is(err, config.ErrConflict) && !lost(err)
	switch {
	case err == nil:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.last.Revision, b.last.Lagging = max(b.last.Revision, receipt.Revision), b.last.Lagging || receipt.Lagging
		b.last.Warnings = append(b.last.Warnings, receipt.Warnings...)
		b.c.part(d.Key, audit.Put)
	case b.p == policySkip && there:
		b.skipped[i] = true
	case there || is(err, config.ErrInvalid, config.ErrQuota):
		b.failed[i] = err.Error()
	default:
		return err
	}
	return nil
}

// result sums up, where the documents from a place on were left out.
func (b *bringing) result(stopped int) *brought {
	if b.last.Revision > 0 {
		b.c.configured(b.last)
	}
	done := &brought{}
	for i, k := range b.keys {
		switch {
		case i >= stopped || b.skipped[i]:
			done.SkipData = append(done.SkipData, brief{k.DataID, k.Group, ""})
		case b.failed[i] != "":
			done.FailData = append(done.FailData, brief{k.DataID, k.Group, b.failed[i]})
		default:
			done.SuccCount++
		}
	}
	done.SkipCount = len(done.SkipData)
	return done
}

// target returns the namespace that documents are brought to.
func (c *call) target(names ...string) (config.Key, bool) {
	k := config.Key{Namespace: folded(c.value(names...)), Group: "g", DataID: "d"}
	return k, k.Validate() == nil
}
