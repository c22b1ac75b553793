package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"
)

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "`FORMAT` of the output: table, json or yaml",
		Action: func(_ *cli.Context, format string) error { // before the command has done anything
			if !slices.Contains([]string{"table", "json", "yaml"}, format) {
				return usagef("output: %q is not one of table, json, yaml", format)
			}
			return nil
		}}
}

// show writes v as the output flag says; a table has a heading and rows.
func show(c *cli.Context, v any, heading string, rows [][]string) error {
	switch c.String("output") {
	case "json":
		e := json.NewEncoder(c.App.Writer)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		return writeYAML(c.App.Writer, v)
	default:
		return table(c.App.Writer, heading, rows)
	}
}

// writeYAML writes what JSON would say: the library by itself has other names for
// what is embedded.
func writeYAML(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if b, err = yaml.JSONToYAML(b); err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// rows returns a row of each.
func rows[T any](all []T, row func(T) []string) [][]string {
	out := make([][]string, 0, len(all))
	for _, one := range all {
		out = append(out, row(one))
	}
	return out
}

func table(w io.Writer, heading string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if heading != "" {
		fmt.Fprintln(t, strings.ReplaceAll(heading, " ", "\t"))
	}
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, cell := range r {
			cells[i] = visible(cell, "")
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// remark says something beside what was asked for, on standard error.
func remark(c *cli.Context, format string, args ...any) {
	fmt.Fprintln(c.App.ErrWriter, "muster:", visible(fmt.Sprintf(format, args...), "\n\t"))
}

// visible returns a text as a terminal may get it. Others choose much of what is shown, such
// as by what name somebody wanted to log in: what would move the cursor, change colours, end
// a row or turn the direction of writing is escaped, but for what is one of but.
func visible(text, but string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	shown := func(r rune) bool { return unicode.IsPrint(r) || strings.ContainsRune(but, r) }
	if !strings.ContainsFunc(text, func(r rune) bool { return !shown(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if shown(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
