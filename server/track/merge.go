package track

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// handover is how long a client that goes from one server to another may be heard
// by none: after that it may have held something else.
const handover = 2 * time.Minute

// Merge joins what several servers say of the same documents or clients: one
// Holder for each client and document, by documents and clients. A client is
// heard now by one server, now by another: the one that heard of it last says
// what it holds, the others since when, where they say the same. Clocks of
// servers are taken as equal.
func Merge(answers ...[]Holder) []Holder {
	all := slices.Concat(answers...)
	slices.SortStableFunc(all, func(a, b Holder) int {
		return cmp.Or(compareKeys(a.Key, b.Key), strings.Compare(a.Client.ID, b.Client.ID), later(a, b))
	})
	merged := all[:0]
	for _, h := range all {
		if n := len(merged); n > 0 && merged[n-1].Key == h.Key && merged[n-1].Client.ID == h.Client.ID {
			merged[n-1].join(h)
			continue
		}
		merged = append(merged, h)
	}
	return merged
}

// later orders first who knows more: whoever heard from the client itself, then
// who heard of it last.
func later(a, b Holder) int {
	if a.State == "" != (b.State == "") {
		return strings.Compare(b.State, a.State)
	}
	return cmp.Or(b.Seen.Compare(a.Seen), b.Since.Compare(a.Since), strings.Compare(a.MD5, b.MD5), strings.Compare(a.State, b.State))
}

// join adds what a server says that knows less.
func (h *Holder) join(other Holder) {
	if h.Joined.Sub(other.Seen) <= handover && other.Joined.Before(h.Joined) {
		h.Joined = other.Joined
	}
	if other.Seen.After(h.Seen) {
		h.Seen = other.Seen
	}
	if other.State != "" && h.State != "" && other.MD5 == h.MD5 && h.Since.Sub(other.Seen) <= handover {
		if other.Since.Before(h.Since) {
			h.Since = other.Since
		}
		h.Release = cmp.Or(h.Release, other.Release)
		if other.State == StateApplied {
			h.State = StateApplied
		}
	}
	o := other.Offer
	switch {
	case o == nil:
	case h.State != "" && o.MD5 == h.MD5:
		// It was given by the other server what it says here to hold.
		if wait := h.Since.Sub(o.At); o.State != StateRejected && wait >= 0 && wait <= handover {
			h.Since, h.Release = o.At, cmp.Or(h.Release, o.Release)
		}
	case h.Offer == nil:
		if o.At.After(h.Since) || h.State == "" {
			h.Offer = o
		}
	default:
		h.Offer = newer(h.Offer, o)
	}
}

// newer returns what was offered last, with what the other one knows of it.
func newer(a, b *Offer) *Offer {
	if b.At.After(a.At) {
		a, b = b, a
	}
	if a.MD5 != b.MD5 || a.Release != "" {
		return a
	}
	joined := *a
	joined.Release = b.Release
	return &joined
}
