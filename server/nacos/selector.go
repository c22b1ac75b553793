package nacos

import (
	"encoding/json"
	"net/http"

	"github.com/musterhq/muster/internal/nacoswire"
	"github.com/musterhq/muster/registry"
)

// selector is what narrows the instances that a consumer gets.
type selector struct {
	Type       string   `json:"type"`
	Expression string   `json:"expression,omitempty"`
	Labels     []string `json:"labels,omitempty"` // of the consumer
}

var selectorTypes = []string{"none", "label"}

func selectorOf(s *registry.Service) selector {
	if s.Selector.Labels == "" {
		return selector{Type: "none"}
	}
	return selector{"label", s.Selector.Labels, s.Selector.Names()}
}

// parseSelector reads the JSON of a selector; some clients encode it twice.
func parseSelector(text string) (registry.Selector, error) {
	if text == "" {
		return registry.Selector{}, nil
	}
	var s selector
	if json.Unmarshal([]byte(text), &s) != nil && json.Unmarshal([]byte(nacoswire.Decode(text)), &s) != nil {
		s.Type = ""
	}
	switch s.Type {
	case "none":
		return registry.Selector{}, nil
	case "label":
		return registry.Selector{Labels: s.Expression}, nil
	}
	return registry.Selector{}, refuse(http.StatusBadRequest, "not match any type of selector!").as(selectorError)
}

func (h *Handler) selectorTypes(*call) (any, error) { return selectorTypes, nil }
