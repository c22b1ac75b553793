package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/config/vault"
)

func configKeyCommand() *cli.Command {
	return &cli.Command{Name: "key", Usage: "make and rotate the keys that encrypt contents on the server's disk", Subcommands: []*cli.Command{
		{Name: "init", Usage: "write a new key file, for its owner alone", ArgsUsage: "FILE", Action: keyAction("new key", vault.Generate)},
		{Name: "rotate", Usage: "put a new key before those of a key file; the old ones still open", ArgsUsage: "FILE",
			Action: keyAction("new current key", vault.Rotate)},
		{Name: "add", Usage: "put a new key behind those of a key file: it opens, and does not encrypt yet", ArgsUsage: "FILE",
			Description: "Where there are several servers, give the file to all of them, restart them, and then use the key: a server cannot open what is encrypted with a key that it does not have.",
			Action:      keyAction("new last key", vault.Add)},
		{Name: "use", Usage: "put a key of a key file before the others, so that it encrypts", ArgsUsage: "FILE NAME", Action: useKey},
	}}
}

// keyAction does what change does to the file of the command and tells the name
// of the new key, never the key.
func keyAction(says string, change func(path string) (id string, err error)) cli.ActionFunc {
	return func(c *cli.Context) error {
		args, err := names(c, "FILE")
		if err != nil {
			return err
		}
		id, err := change(args[0])
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already, and is not replaced", args[0])
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.App.Writer, "%s %s in %s\n", says, id, args[0])
		return err
	}
}

func useKey(c *cli.Context) error {
	args, err := names(c, "FILE", "NAME")
	if err != nil {
		return err
	}
	if err := vault.Use(args[0], args[1]); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "current key %s in %s\n", args[1], args[0])
	return err
}
