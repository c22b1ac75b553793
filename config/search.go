package config

import (
	"context"
	"slices"
	"strings"
)

// Match is how the names of a query are compared; an empty one is any.
type Match int

// The ways to compare.
const (
	Exact    Match = iota
	Like           // * stands for any text
	Contains       // of the data id; the group is exact
)

// Query is what a search asks for; an empty part asks for nothing.
type Query struct {
	Namespace, Group, DataID, App string
	Tags                          []string // one of which is found
	Types                         []string // one of which it is
	Match                         Match
	Content                       string // a text that the content holds
}

// Search returns the heads of the documents that a query asks for, ordered by
// namespace, group and data id; the slice is not to be modified.
func (c *Center) Search(ctx context.Context, q Query) ([]*Document, error) {
	snap := c.Snapshot()
	if snap == nil {
		return nil, ErrUnavailable
	}
	all := snap.Documents()
	if q.Namespace != "" {
		all = snap.In(q.Namespace)
	}
	if q.any() {
		return all, nil
	}
	var found []*Document
	for _, d := range all {
		if q.admits(d) {
			found = append(found, d)
		}
	}
	if q.Content == "" || len(found) == 0 {
		return found, nil
	}
	digests := make(map[string]bool, len(found))
	for _, d := range found {
		digests[d.Digest] = true
	}
	holding, err := c.store.Holding(ctx, digests, q.Content)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(d *Document) bool { return !holding[d.Digest] }), nil
}

// any reports whether every document of the namespace will do.
func (q Query) any() bool {
	return q.Group == "" && q.DataID == "" && q.App == "" && len(q.Tags) == 0 && len(q.Types) == 0 && q.Content == ""
}

func (q Query) admits(d *Document) bool {
	group := q.Match
	if group == Contains {
		group = Exact
	}
	return group.admits(q.Group, d.Key.Group) && q.Match.admits(q.DataID, d.Key.DataID) &&
		(q.App == "" || q.App == d.App) &&
		(len(q.Types) == 0 || slices.Contains(q.Types, d.Type)) &&
		(len(q.Tags) == 0 || slices.ContainsFunc(q.Tags, func(t string) bool { return slices.Contains(d.Tags, t) }))
}

func (m Match) admits(pattern, s string) bool {
	switch {
	case pattern == "" || pattern == s:
		return true
	case m == Like:
		return like(pattern, s)
	case m == Contains:
		return strings.Contains(s, pattern)
	}
	return false
}

// like reports whether s is of a pattern in which * stands for any text. Each
// piece is sought once, so a hostile pattern costs no more than another.
func like(pattern, s string) bool {
	pieces := strings.Split(pattern, "*")
	last := len(pieces) - 1
	if last == 0 {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, pieces[0])
	if !ok {
		return false
	}
	for _, piece := range pieces[1:last] {
		if _, rest, ok = strings.Cut(rest, piece); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, pieces[last])
}
