package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/internal/diff"
)

// planAgent shows what `muster agent --once` would change.
func planAgent(c *cli.Context, a *agent.Agent) error {
	changes, err := a.Plan(c.Context)
	if err != nil {
		return err
	}
	var problems []error
	for _, change := range changes {
		if change.Err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", change.Path, change.Err))
			continue
		}
		if err := showChange(c.App.Writer, change); err != nil {
			return err
		}
	}
	return errors.Join(problems...)
}

// showChange writes what would become of one file.
func showChange(w io.Writer, change configfile.Change) (err error) {
	name := filepath.Join(change.Path, change.Name)
	switch {
	case change.Same:
		_, err = fmt.Fprintf(w, "%s: in step\n", name)
	case change.New == nil && change.Old != nil:
		_, err = fmt.Fprintf(w, "%s: would be removed, as %s was\n", name, change.From)
	case bytes.Equal(change.Old, change.New) && change.Old != nil:
		_, err = fmt.Fprintf(w, "%s: would stay as it is\n", name)
	case !readable(change.Old) || !readable(change.New):
		_, err = fmt.Fprintf(w, "%s: would become %d bytes that are no text, from %s\n", name, len(change.New), change.From)
	default:
		_, err = fmt.Fprintf(w, "%s: would change, from %s\n%s", name, change.From,
			diff.Unified(diff.Text{Label: name, Content: change.Old}, diff.Text{Label: name, Content: change.New}))
	}
	return err
}

// readable reports whether content can be shown line by line.
func readable(content []byte) bool { return utf8.Valid(content) && !bytes.ContainsRune(content, 0) }
