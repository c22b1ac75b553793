package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/etcdstore/backup"
	"github.com/musterhq/muster/server"
)

func backupCommand() *cli.Command {
	return &cli.Command{Name: "backup", Usage: "write all that the servers hold at one revision to FILE, and verify it; FILE must not exist", ArgsUsage: "FILE",
		Flags: remoteFlags(&cli.BoolFlag{Name: "verify", Usage: "only verify a FILE that is there"}), Action: makeBackup}
}

func restoreCommand() *cli.Command {
	return &cli.Command{Name: "restore", Usage: "fill the data directory of a server with a backup; the directory etcd in it must be empty or missing, and the settings are those of the server",
		ArgsUsage: "FILE", Flags: append(settingFlags(), outputFlag()), Action: restore}
}

// makeBackup writes beside the file first: what carries its name is complete.
func makeBackup(c *cli.Context) error {
	args, err := names(c, "FILE")
	if err != nil {
		return err
	}
	path := args[0]
	if c.Bool("verify") {
		info, err := backup.Verify(c.Context, path)
		if err != nil {
			return err
		}
		return showInfo(c, "good", path, info)
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.part")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name()) // linked under its name by then, or of no use
	_, err = remote.Backup(c.Context, part)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	info, err := backup.Verify(c.Context, part.Name())
	if err != nil {
		return err
	}
	if err := nameNew(part.Name(), path); err != nil {
		return err
	}
	return showInfo(c, "written", path, info)
}

// nameNew gives a complete file its name, which must be free.
func nameNew(from, to string) error {
	err := os.Link(from, to) // unlike a rename, it replaces nothing
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(from, to) // a file system without hard links
}

// backupOutput is what -o json prints of a backup.
type backupOutput struct {
	File      string            `json:"file"`
	Revision  int64             `json:"revision"`
	Bytes     int64             `json:"bytes"`
	SHA256    string            `json:"sha256"`
	Services  int               `json:"services"`
	Instances int               `json:"instances"`
	Documents int               `json:"documents"`
	Digests   map[string]string `json:"digests"`
}

func showInfo(c *cli.Context, what, name string, info backup.Info) error {
	out := backupOutput{name, info.Revision, info.Bytes, info.SHA256, info.Services, info.Instances, info.Documents, map[string]string{}}
	for namespace, sum := range info.Registry.All() {
		out.Digests[namespace] = strconv.FormatUint(sum, 16)
	}
	return show(c, out, "", [][]string{
		{what, name}, {"revision", strconv.FormatInt(info.Revision, 10)}, {"bytes", strconv.FormatInt(info.Bytes, 10)},
		{"sha256", info.SHA256}, {"services", strconv.Itoa(info.Services)}, {"instances", strconv.Itoa(info.Instances)},
		{"documents", strconv.Itoa(info.Documents)},
	})
}

func restore(c *cli.Context) error {
	args, err := names(c, "FILE")
	if err != nil {
		return err
	}
	cfg, err := checkedServer(c)
	if err != nil {
		return err
	}
	info, err := server.Restore(c.Context, cfg, args[0])
	if err != nil {
		return err
	}
	return showInfo(c, "restored", args[0], info)
}
