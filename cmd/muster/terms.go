package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/client"
)

// termFlags are those of a write that may hang on a revision and may be tried only.
func termFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.Int64Flag{Name: "if-revision", Usage: "write only over what was last changed at revision `N`"},
		dryRunFlag())
}

func dryRunFlag() cli.Flag {
	return &cli.BoolFlag{Name: "dry-run", Usage: "write nothing, and show what would stand"}
}

func createFlag() cli.Flag {
	return &cli.BoolFlag{Name: "create", Usage: "write only what is not there yet"}
}

// termsOf returns what a write hangs on by its flags.
func termsOf(c *cli.Context) (client.Terms, error) {
	on := client.Terms{CreateOnly: c.Bool("create"), DryRun: c.Bool("dry-run")}
	if !c.IsSet("if-revision") {
		return on, nil
	}
	n := c.Int64("if-revision")
	if n <= 0 {
		return on, usagef("if-revision: %d is not a revision, which is 1 or more", n)
	}
	if on.CreateOnly {
		return on, usagef("create: contradicts --if-revision")
	}
	on.IfMatch = strconv.FormatInt(n, 10)
	return on, nil
}

// writeCall returns what every write needs: what it is about, what it hangs on, and
// who is told.
func writeCall(c *cli.Context, about ...string) (args []string, on client.Terms, remote *client.Client, err error) {
	if args, err = names(c, about...); err != nil {
		return nil, on, nil, err
	}
	if on, err = termsOf(c); err != nil {
		return nil, on, nil, err
	}
	remote, err = dial(c)
	return args, on, remote, err
}

// did says what was done, or would be.
func did(on client.Terms, what string) string {
	if on.DryRun {
		return what + " (dry run)"
	}
	return what
}

// How often a change is made anew over somebody else's, and how long after.
const (
	amendTries = 5
	amendPause = 50 * time.Millisecond
)

// amend changes what is read first, so that no change of others is lost: it is
// written over what was read, or not at all. Read returns the tag of what stands,
// "" where nothing does.
func amend(ctx context.Context, on client.Terms, read func() (tag string, err error), write func(client.Terms) error) error {
	for try := 1; ; try++ {
		tag, err := read()
		if err != nil {
			return err
		}
		if on.IfMatch != "" && on.IfMatch != tag {
			return fmt.Errorf("it was last changed at revision %s, not %s: %w", orDash(tag), on.IfMatch, client.ErrConflict)
		}
		if on.CreateOnly && tag != "" {
			return fmt.Errorf("it is there already, since revision %s: %w", tag, client.ErrConflict)
		}
		over := on
		over.IfMatch, over.CreateOnly = tag, tag == ""
		err = write(over)
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusPreconditionFailed ||
			on.IfMatch != "" || on.CreateOnly || try == amendTries {
			return err
		}
		select { // the server that is read may not show yet what it stands behind
		case <-time.After(amendPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unlessMissing is the error of a read, nil where it found nothing.
func unlessMissing(err error) error {
	if errors.Is(err, client.ErrNotFound) {
		return nil
	}
	return err
}

// removal is what the removal of something prints.
type removal struct {
	Removed string `json:"removed"`
	DryRun  bool   `json:"dryRun,omitempty"`
}

func showRemoval(c *cli.Context, on client.Terms, verb, what string) error {
	return show(c, removal{what, on.DryRun}, "", [][]string{{did(on, verb), what}})
}
