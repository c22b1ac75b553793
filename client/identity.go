package client

import (
	"fmt"
	"net/http"
	"regexp"

	"github.com/musterhq/muster/api"
)

// Identity is what a client says of itself when it reads or watches
// configuration. Gray releases choose by it.
type Identity struct {
	ID     string            // empty: none
	Tag    string            // empty: none
	Labels map[string]string // nil: none
}

// Bounds of an Identity.
const (
	maxLabels = 32
	maxWord   = 128
)

// word is what an id, a tag, or the key or value of a label may be: nothing
// that a header or the list of labels would take for its own.
var word = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._/:@-]*$`)

func (i Identity) validate() error {
	check := func(what, text string) error {
		if len(text) > maxWord || !word.MatchString(text) {
			return fmt.Errorf("%s %q is not up to %d letters, digits and ._/:@-, a letter or digit first: %w", what, text, maxWord, ErrInvalid)
		}
		return nil
	}
	if i.ID != "" {
		if err := check("client id", i.ID); err != nil {
			return err
		}
	}
	if i.Tag != "" {
		if err := check("tag", i.Tag); err != nil {
			return err
		}
	}
	if len(i.Labels) > maxLabels {
		return fmt.Errorf("%d labels, at most %d: %w", len(i.Labels), maxLabels, ErrInvalid)
	}
	for key, value := range i.Labels {
		if err := check("label key", key); err != nil {
			return err
		}
		if err := check("label "+key, value); err != nil {
			return err
		}
	}
	return nil
}

// header returns the headers that say it.
func (i Identity) header() http.Header {
	h := http.Header{}
	if i.ID != "" {
		h.Set(api.HeaderClient, i.ID)
	}
	if i.Tag != "" {
		h.Set(api.HeaderClientTag, i.Tag)
	}
	if len(i.Labels) > 0 {
		h.Set(api.HeaderClientLabels, FormatLabels(i.Labels))
	}
	return h
}

// Identity returns who the client says it is.
func (c *Client) Identity() Identity { return c.cfg.Identity }
