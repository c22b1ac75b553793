package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func configWatchCommand() *cli.Command {
	return &cli.Command{Name: "watch", Usage: "follow a document as it changes, comes and goes", ArgsUsage: "DATAID",
		Description: "What stands comes first, then what changes, until interrupted: as this client gets it, be it of a gray release. A server that\n" +
			"goes away meanwhile is waited for.\n" +
			"With -o json each line is one object.",
		Flags: namedFlags(append(readerFlags(), newFlag(), &cli.BoolFlag{Name: "content", Usage: "print contents too"})...), Action: watchConfig}
}

// documentLine is a change of a document as a program reads it.
type documentLine struct {
	Change   string  `json:"change"` // published or removed
	At       string  `json:"at"`
	MD5      string  `json:"md5,omitempty"`
	Version  int64   `json:"version,omitempty"`
	Revision int64   `json:"revision,omitempty"`
	Release  string  `json:"release,omitempty"`
	Content  *string `json:"content,omitempty"`
}

const (
	published = "published"
	gone      = "removed"
)

func watchConfig(c *cli.Context) error {
	_, n, remote, err := documentCall(c)
	if err != nil {
		return err
	}
	known := ""
	for first := true; c.Err() == nil; {
		d, err := remote.Config(c.Context, n)
		missing := errors.Is(err, client.ErrNotFound)
		md5 := d.MD5
		if missing {
			err, md5 = nil, ""
		}
		if err == nil {
			if md5 != known && (!first || !c.Bool("new")) {
				if err := printDocument(c, d, missing); err != nil {
					return err
				}
			}
			known, first = md5, false
			err = awaitChange(c, remote, n, known)
		}
		if c.Err() == nil && err != nil && (first || !passing(err)) {
			return err
		}
		// Away, or a server tells of a change that another one does not show yet.
		rest(c.Context, watchPause)
	}
	return nil // interrupted
}

// watchPause is the shortest time between two reads.
const watchPause = 200 * time.Millisecond

// passing reports whether an error is one of a server that may be back soon.
func passing(err error) bool {
	return errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrLimited)
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// awaitChange returns when the document may have another digest than the known one,
// or the command is interrupted.
func awaitChange(c *cli.Context, remote *client.Client, n client.Name, known string) error {
	n = n.WithDefaults()
	ref := api.ConfigRef{Namespace: n.Namespace, Group: n.Group, DataID: n.Name, MD5: known}
	for c.Err() == nil {
		changed, err := remote.WatchConfigs(c.Context, []api.ConfigRef{ref}, client.MaxWatchWait/2)
		if len(changed) > 0 || err != nil {
			return err
		}
	}
	return nil
}

func printDocument(c *cli.Context, d client.Document, missing bool) error {
	line := documentLine{Change: published, At: time.Now().Format(time.RFC3339), MD5: d.MD5, Version: d.Version, Revision: d.Revision, Release: d.Release}
	if missing {
		line = documentLine{Change: gone, At: line.At}
	}
	if c.Bool("content") && !missing {
		line.Content = new(string(d.Content))
	}
	switch c.String("output") {
	case "json":
		return json.NewEncoder(c.App.Writer).Encode(line)
	case "yaml":
		if _, err := fmt.Fprintln(c.App.Writer, "---"); err != nil {
			return err
		}
		return writeYAML(c.App.Writer, line)
	}
	text := line.At + "  " + line.Change
	if !missing {
		text += fmt.Sprintf("  version %d  md5 %s", line.Version, line.MD5)
	}
	if line.Release != "" {
		text += "  release " + line.Release
	}
	if text = visible(text, ""); line.Content != nil {
		text += "\n" + *line.Content
	}
	_, err := fmt.Fprintln(c.App.Writer, text)
	return err
}
