package registry

import (
	"net/netip"
	"strings"
)

// Selector narrows what a consumer gets of a service down to the instances that
// suit it. The zero Selector narrows nothing.
type Selector struct {
	// Labels is an expression over labels, as Nacos has it:
	//
	//	CONSUMER.label.zone = PROVIDER.label.zone & CONSUMER.label.site = PROVIDER.label.site
	Labels string `json:"labels,omitempty"`
}

// Labels is what tells the labels of an address.
type Labels interface {
	Of(netip.Addr) map[string]string // not to be modified; nil when nothing is known
	// OfNetwork returns what is known of all addresses of a network, and how long a
	// prefix it holds for (RFC 7871, 7.2.1).
	OfNetwork(netip.Prefix) (labels map[string]string, scope int)
	Generation() uint64 // another one whenever any labels may have changed
}

// Bounds of an expression.
const (
	maxSelector      = 1 << 10
	maxSelectorPairs = 8
)

// labelPair demands that a label of the consumer and one of the provider are equal.
type labelPair struct{ consumer, provider string }

const (
	consumerLabel = "CONSUMER.label."
	providerLabel = "PROVIDER.label."
)

// parse returns the pairs of the expression, or an [*InvalidError].
func (sel Selector) parse() ([]labelPair, error) {
	text := strings.TrimSpace(sel.Labels)
	if text == "" {
		return nil, nil
	}
	if len(text) > maxSelector {
		return nil, invalid("selector", text, "is longer than 1024 bytes")
	}
	var pairs []labelPair
	for part := range strings.SplitSeq(text, "&") {
		left, right, ok := strings.Cut(part, "=")
		consumer, isConsumer := strings.CutPrefix(strings.TrimSpace(left), consumerLabel)
		provider, isProvider := strings.CutPrefix(strings.TrimSpace(right), providerLabel)
		if !ok || !isConsumer || !isProvider || !isLabelName(consumer) || !isLabelName(provider) {
			return nil, invalid("selector", strings.TrimSpace(part), "is not of the form "+consumerLabel+"NAME = "+providerLabel+"NAME")
		}
		pairs = append(pairs, labelPair{consumer, provider})
	}
	if len(pairs) > maxSelectorPairs {
		return nil, invalid("selector", text, "compares more than 8 labels")
	}
	return pairs, nil
}

// Names returns the labels of the consumer that the expression names, in its order.
func (sel Selector) Names() []string {
	pairs, _ := sel.parse() // what stands was checked
	names := make([]string, 0, len(pairs))
	for _, p := range pairs {
		names = append(names, p.consumer)
	}
	return names
}

func isLabelName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && r != '/' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// Wants are the values that the labels of a service's selector have for one
// consumer. Empty means that they narrow nothing.
type Wants string

const wantsSeparator = "\x00"

// Wants returns what the selector of the service makes of a consumer's address.
// A label that the consumer does not have narrows nothing.
func (s *Service) Wants(consumer netip.Addr) Wants { return s.WantsOf(NetworkOf(consumer)) }

// NetworkOf returns an address as the network of it alone, invalid for an invalid
// address.
func NetworkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen())
}

// WantsOf is Wants for a consumer of whom the network alone is known.
func (s *Service) WantsOf(consumer netip.Prefix) Wants {
	if len(s.selector) == 0 || s.policy.Labels == nil || !consumer.IsValid() {
		return ""
	}
	labels, _ := s.policy.Labels.OfNetwork(consumer)
	values, said := make([]string, len(s.selector)), false
	for n, pair := range s.selector {
		values[n] = labels[pair.consumer]
		said = said || values[n] != ""
	}
	if !said {
		return ""
	}
	return Wants(strings.Join(values, wantsSeparator))
}

// Suiting returns those of all that suit a consumer, or all of them when none
// of those is healthy: a selector chooses among what works.
func (s *Service) Suiting(all []*Instance, w Wants) []*Instance {
	if w == "" {
		return all
	}
	values := strings.Split(string(w), wantsSeparator)
	if len(values) != len(s.selector) {
		return all
	}
	var suit []*Instance
	healthy := false
	for _, i := range all {
		if s.suits(i, values) {
			suit = append(suit, i)
			healthy = healthy || i.Healthy
		}
	}
	if !healthy {
		return all
	}
	return suit
}

func (s *Service) suits(i *Instance, values []string) bool {
	for n, pair := range s.selector {
		if values[n] != "" && s.Label(i, pair.provider) != values[n] {
			return false
		}
	}
	return true
}

// Label returns a label of an instance: that of its address, else its metadata.
func (s *Service) Label(i *Instance, name string) string {
	if s.policy.Labels != nil && i.Addr.IsValid() {
		if v, ok := s.policy.Labels.Of(i.Addr)[name]; ok {
			return v
		}
	}
	return i.Metadata.Get(name)
}

// LabelsOf returns the labels of a network, not to be modified, and how long a
// prefix they hold for.
func (s *Snapshot) LabelsOf(network netip.Prefix) (labels map[string]string, scope int) {
	if s.policy.Labels == nil || !network.IsValid() {
		return nil, max(network.Bits(), 0)
	}
	return s.policy.Labels.OfNetwork(network)
}

// LabelGeneration changes whenever labels may have changed.
func (s *Service) LabelGeneration() uint64 {
	if s.policy.Labels == nil {
		return 0
	}
	return s.policy.Labels.Generation()
}
