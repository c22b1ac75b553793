package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func configExportCommand() *cli.Command {
	return &cli.Command{Name: "export", Usage: "write documents with all their history to FILE, which must not exist", ArgsUsage: "FILE",
		Description: "The archive holds authors and times, gray releases, parts and policies. Documents that are encrypted where they are\n" +
			"stored are refused, unless --secrets says what becomes of them.",
		Flags: listFlags(&cli.StringFlag{Name: "secrets", Usage: "`HOW` encrypted documents go: clear (in the clear) or omit (not at all)"}), Action: exportConfigs}
}

func configImportCommand() *cli.Command {
	return &cli.Command{Name: "import", Usage: "bring the documents of an archive back, with their history", ArgsUsage: "FILE",
		Flags: remoteFlags(onConflictFlag()), Action: importConfigs}
}

func configCopyCommand() *cli.Command {
	return &cli.Command{Name: "copy", Usage: "copy documents of the namespace, or all of it, to another namespace", ArgsUsage: "NAMESPACE",
		Flags: remoteFlags(namespaceFlag(),
			&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "only this group `NAME`"},
			&cli.StringSliceFlag{Name: "data-id", Usage: "only the document `DATAID`, repeatable"}, onConflictFlag()), Action: copyConfigs}
}

func onConflictFlag() cli.Flag {
	return &cli.StringFlag{Name: "on-conflict", Value: api.OnConflictAbort, Usage: "`WHAT` becomes of documents that are there already: abort, skip or overwrite"}
}

// exportConfigs writes beside the file first: what carries its name is complete.
func exportConfigs(c *cli.Context) error {
	args, err := names(c, "FILE")
	if err != nil {
		return err
	}
	path := args[0]
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	n, err := downloaded(path, func(to io.Writer) (int64, error) {
		return remote.ExportConfigs(c.Context, namespaceOf(c), c.String("secrets"), to)
	})
	if err != nil {
		return err
	}
	return show(c, map[string]any{"file": path, "bytes": n}, "", [][]string{{"written", path}, {"bytes", strconv.FormatInt(n, 10)}})
}

// downloaded gives a new file what get writes, all of it or nothing.
func downloaded(path string, get func(io.Writer) (int64, error)) (n int64, err error) {
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.part")
	if err != nil {
		return 0, err
	}
	defer os.Remove(part.Name()) // linked under its name by then, or of no use
	n, err = get(part)
	if err == nil {
		err = part.Sync()
	}
	if closing := part.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return n, err
	}
	return n, nameNew(part.Name(), path)
}

func importConfigs(c *cli.Context) error {
	args, err := names(c, "FILE")
	if err != nil {
		return err
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	out, err := remote.ImportConfigs(c.Context, f, info.Size(), c.String("on-conflict"))
	if err != nil {
		return err
	}
	return showImport(c, out)
}

func showImport(c *cli.Context, out api.ConfigImport) error {
	warn(c, out.Warnings)
	for _, s := range out.Skipped {
		remark(c, "skipped %s/%s/%s: %s", s.Namespace, s.Group, s.DataID, s.Reason)
	}
	return show(c, out, "", [][]string{{"restored", strconv.Itoa(out.Restored)}, {"published", strconv.Itoa(out.Published)},
		{"skipped", strconv.Itoa(len(out.Skipped))}, {"policies", strconv.Itoa(out.Policies)}})
}

func copyConfigs(c *cli.Context) error {
	args, err := names(c, "NAMESPACE")
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	out, err := remote.CloneConfigs(c.Context, api.ConfigClone{From: client.Name{Namespace: c.String("namespace")}.WithDefaults().Namespace, To: args[0],
		Group: c.String("group"), DataIDs: c.StringSlice("data-id"), OnConflict: c.String("on-conflict")})
	if err != nil {
		return err
	}
	return showImport(c, out)
}
