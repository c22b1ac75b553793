package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"
)

// metadata is a flag whose values may hold commas, at which a list would part.
type metadata map[string]string

func (m *metadata) String() string { return "" }

// Set takes one more pair.
func (m *metadata) Set(kv string) error {
	k, v, ok := strings.Cut(kv, "=")
	if !ok || k == "" {
		return fmt.Errorf("metadata: %q is not of the form KEY=VALUE", kv)
	}
	if *m == nil {
		*m = metadata{}
	}
	(*m)[k] = v
	return nil
}

func metadataFlag() cli.Flag {
	return &cli.GenericFlag{Name: "metadata", Aliases: []string{"m"}, Value: &metadata{}, Usage: "`KEY=VALUE`, repeatable"}
}

// pairsOf returns the pairs given by a flag that takes some.
func pairsOf(c *cli.Context, flag string) map[string]string {
	if m, ok := c.Generic(flag).(*metadata); ok {
		return *m
	}
	return nil
}

// edits is a flag that changes metadata: KEY=VALUE sets a key, KEY- drops it. The
// last word on a key counts.
type edits struct {
	set  map[string]string
	drop []string
}

func (e *edits) String() string { return "" }

// Set takes one more change.
func (e *edits) Set(text string) error {
	k, v, ok := strings.Cut(text, "=")
	if !ok {
		k, ok = strings.CutSuffix(text, "-")
		if !ok || k == "" {
			return fmt.Errorf("metadata: %q is neither KEY=VALUE nor KEY-", text)
		}
		delete(e.set, k)
		if !slices.Contains(e.drop, k) {
			e.drop = append(e.drop, k)
		}
		return nil
	}
	if k == "" {
		return fmt.Errorf("metadata: %q is neither KEY=VALUE nor KEY-", text)
	}
	if e.set == nil {
		e.set = map[string]string{}
	}
	e.set[k] = v
	e.drop = slices.DeleteFunc(e.drop, func(dropped string) bool { return dropped == k })
	return nil
}

// over returns metadata with the changes made.
func (e *edits) over(m map[string]string) map[string]string {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	for _, k := range e.drop {
		delete(out, k)
	}
	maps.Copy(out, e.set)
	return out
}

func editsFlag() cli.Flag {
	return &cli.GenericFlag{Name: "metadata", Aliases: []string{"m"}, Value: &edits{}, Usage: "`KEY=VALUE` to set, KEY- to drop, repeatable"}
}

func editsOf(c *cli.Context) *edits {
	if e, ok := c.Generic("metadata").(*edits); ok {
		return e
	}
	return &edits{}
}

// pairs prints metadata. What a terminal would act on is quoted.
func pairs(m map[string]string) string {
	all := make([]string, 0, len(m))
	for k, v := range m {
		kv := k + "=" + v
		if strings.ContainsFunc(kv, unicode.IsControl) {
			kv = strconv.Quote(kv)
		}
		all = append(all, kv)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}
