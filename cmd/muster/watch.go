package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

const watchDescription = "What is there comes first, then what changes, until interrupted. A stream that breaks off is taken up where it\n" +
	"was, at another server if need be. With -o json each line is one object."

func newFlag() cli.Flag {
	return &cli.BoolFlag{Name: "new", Usage: "leave out what is there already"}
}

func watchServicesCommand() *cli.Command {
	return &cli.Command{Name: "watch", Usage: "follow services as they come, change and go", ArgsUsage: "[SERVICE]", Description: watchDescription,
		Flags: listFlags(&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "only this group `NAME`"}, newFlag()), Action: watchServices}
}

func watchInstancesCommand() *cli.Command {
	return &cli.Command{Name: "watch", Usage: "follow the instances of a service as they come, change and go", ArgsUsage: "SERVICE", Description: watchDescription,
		Flags: namedFlags(newFlag()), Action: watchInstances}
}

// serviceLine is a change of a service as a program reads it.
type serviceLine struct {
	Change   string      `json:"change"`
	Revision int64       `json:"revision"`
	Service  api.Service `json:"service"`
}

func watchServices(c *cli.Context) error {
	args, err := names(c, "[SERVICE]")
	if err != nil {
		return err
	}
	heading, row := serviceColumns(c)
	filter := client.WatchFilter{Namespace: namespaceOf(c), Group: c.String("group"), Service: args[0]}
	return follow(c, filter, heading, func(ch change) (any, []string, bool) {
		return serviceLine{ch.kind, ch.revision, ch.service}, row(ch.service), ch.instance == nil
	})
}

// instanceLine is a change of an instance as a program reads it.
type instanceLine struct {
	Change   string         `json:"change"`
	Revision int64          `json:"revision"`
	Service  api.ServiceRef `json:"service"`
	Instance *api.Instance  `json:"instance"`
}

func watchInstances(c *cli.Context) error {
	args, err := names(c, "SERVICE")
	if err != nil {
		return err
	}
	n := nameOf(c, args[0])
	filter := client.WatchFilter{Namespace: n.Namespace, Group: n.Group, Service: n.Name}
	return follow(c, filter, instanceHeading, func(ch change) (any, []string, bool) {
		if ch.instance == nil {
			return nil, nil, false
		}
		s := ch.service
		return instanceLine{ch.kind, ch.revision, api.ServiceRef{Namespace: s.Namespace, Group: s.Group, Name: s.Name}, ch.instance}, instanceRow(*ch.instance), true
	})
}

// follow prints the changes that line admits, until the command is interrupted.
func follow(c *cli.Context, filter client.WatchFilter, heading string, line func(change) (v any, cells []string, admitted bool)) error {
	remote, err := dial(c)
	if err != nil {
		return err
	}
	// A watch is patient, a command that was given a wrong address should not be.
	if _, err := remote.Status(c.Context); err != nil {
		return err
	}
	known, silent := newLedger(), c.Bool("new")
	out := &printout{w: c.App.Writer, format: c.String("output"), heading: append([]string{"TIME", "CHANGE"}, strings.Fields(heading)...)}
	out.fit([]string{time.TimeOnly, changed}) // as wide as any: what comes later is to stand under it
	err = remote.Watch(c.Context, client.WatchAll, filter, func(e client.Event) error {
		now := time.Now().Format(time.TimeOnly)
		for _, ch := range known.take(e) {
			if v, cells, admitted := line(ch); admitted && !silent {
				if err := out.add(v, append([]string{now, ch.kind}, cells...)); err != nil {
					return err
				}
			}
		}
		if e.Kind != api.EventSynced {
			return nil
		}
		silent = false
		return out.flush()
	})
	if c.Err() != nil {
		return nil // to be interrupted is how it ends
	}
	return err
}

// printout prints one line, or document, after another. Those of a table are held
// until the first flush, so that it has columns.
type printout struct {
	w       io.Writer
	format  string
	heading []string
	widths  []int      // of the columns so far
	held    [][]string // before the first flush
	flushed bool
}

func (l *printout) add(v any, cells []string) error {
	switch l.format {
	case "json":
		return json.NewEncoder(l.w).Encode(v)
	case "yaml":
		if _, err := fmt.Fprintln(l.w, "---"); err != nil {
			return err
		}
		return writeYAML(l.w, v)
	}
	for i, cell := range cells {
		cells[i] = visible(cell, "")
	}
	l.fit(cells)
	if !l.flushed {
		l.held = append(l.held, cells)
		return nil
	}
	return l.print(cells)
}

// flush prints what is held, under the heading.
func (l *printout) flush() error {
	if l.flushed || l.format != "table" {
		return nil
	}
	l.flushed = true
	held := append([][]string{l.heading}, l.held...)
	l.held = nil
	l.fit(l.heading)
	for _, cells := range held {
		if err := l.print(cells); err != nil {
			return err
		}
	}
	return nil
}

// fit widens the columns for cells.
func (l *printout) fit(cells []string) {
	for i, cell := range cells {
		if i >= len(l.widths) {
			l.widths = append(l.widths, 0)
		}
		l.widths[i] = max(l.widths[i], utf8.RuneCountInString(cell))
	}
}

func (l *printout) print(cells []string) error {
	var b strings.Builder
	for i, cell := range cells {
		b.WriteString(cell)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", l.widths[i]-utf8.RuneCountInString(cell)+2))
		}
	}
	_, err := fmt.Fprintln(l.w, strings.TrimRight(b.String(), " "))
	return err
}
