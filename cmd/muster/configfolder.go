package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/internal/folder"
)

const pathDescription = "A PATH is one that `muster config status` shows, or a GROUP for all in it, or . for all."

// folderCommands are those that keep a folder and a namespace in step.
func folderCommands() []*cli.Command {
	return []*cli.Command{
		{Name: "clone", Usage: "copy the documents of a namespace into a folder that remembers where they are from", ArgsUsage: "DIRECTORY",
			Flags: remoteFlags(namespaceFlag()), Action: cloneFolder},
		{Name: "pull", Usage: "take what changed on the server into a folder", ArgsUsage: "[DIRECTORY]",
			Description: "What changed in the folder stays. A document that changed on both sides is a conflict: it is shown, and left as it is.\n" + pathDescription,
			Flags: folderFlags(oursFlag(),
				&cli.StringSliceFlag{Name: "theirs", Usage: "take the server's version of `PATH`, and lose the folder's; repeatable"},
				dryRunFlag()),
			Action: pullFolder},
		{Name: "push", Usage: "publish what changed in a folder, all of it or nothing", ArgsUsage: "[DIRECTORY]",
			Description: "A file that was removed removes its document. While a document changed on both sides nothing is published.\n" + pathDescription,
			Flags: folderFlags(oursFlag(),
				&cli.BoolFlag{Name: "in-parts", Usage: "publish more than 200 documents, by 200, of which each is all or nothing"}, dryRunFlag()),
			Action: pushFolder},
		{Name: "status", Usage: "tell how a folder and the server differ", ArgsUsage: "[DIRECTORY]", Flags: folderFlags(), Action: folderStatus},
	}
}

// folderFlags are those of commands about a folder, which knows its server. The
// variable MUSTER_SERVER must not lead a folder to another one, and says whether it may
// have the token.
func folderFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringSliceFlag{Name: "server", Usage: "`URL` of the folder's server, if that moved: it is remembered; repeatable"},
		outputFlag(),
	}, append(trustFlags(), more...)...)
}

func oursFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "ours", Usage: "of `PATH` the folder's version is to stand; repeatable"}
}

func cloneFolder(c *cli.Context) error {
	args, err := names(c, "DIRECTORY")
	if err != nil {
		return err
	}
	remote, err := folderServer(c, c.StringSlice("server"), true)
	if err != nil {
		return err
	}
	of := folder.Origin{Servers: remote.Servers(), Namespace: c.String("namespace")}
	r, err := folder.Clone(c.Context, namespaceDocuments{remote, of.Namespace}, args[0], of, folder.Choice{})
	if err != nil {
		return err
	}
	return showResult(c, r, func(e folder.Entry) string { return e.There })
}

// folderServer is for many documents at once, which take their time. Servers that
// the user did not name get neither token nor certificate.
func folderServer(c *cli.Context, servers []string, named bool) (*client.Client, error) {
	cfg := client.Config{Timeout: time.Minute}
	if named {
		return newClient(c, servers, cfg)
	}
	cfg.Token = func() (string, error) { return "", nil }
	return newClientWith(c, servers, cfg, certs.Files{CA: c.String("ca")})
}

// openFolder opens the folder that is named, or the one around where this is, and
// its server. Who made the folder may be somebody else, and would be sent the token and
// shown the certificate: they are for servers alone that the user named too. The last of
// what it returns says of an error that it comes of that.
func openFolder(c *cli.Context, dir string, servers []string) (*folder.Folder, folder.Server, func(error) error, error) {
	find := folder.Open
	if dir == "" {
		dir, find = ".", folder.Find
	}
	f, err := find(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	of := f.Origin()
	named, explain := true, func(err error) error { return err }
	if len(servers) > 0 {
		of.Servers = servers
	} else if named = namesAll(c, of.Servers); !named && (tokenOf(c) != nil || c.String("cert") != "") {
		explain = func(err error) error { return unnamed(err, of.Servers) }
	}
	remote, err := folderServer(c, of.Servers, named)
	if err != nil {
		f.Close()
		return nil, nil, nil, err
	}
	return f, namespaceDocuments{remote, of.Namespace}, explain, nil
}

// namesAll reports whether the user named all of these servers: by a flag, by
// MUSTER_SERVER, or by naming none.
func namesAll(c *cli.Context, servers []string) bool {
	own := c.StringSlice("server")
	if text := os.Getenv("MUSTER_SERVER"); len(own) == 0 && text != "" {
		for one := range strings.SplitSeq(text, ",") {
			own = append(own, strings.TrimSpace(one))
		}
	}
	named, err := client.New(own, client.Config{})
	if err != nil {
		return false
	}
	others, err := client.New(servers, client.Config{})
	return err == nil && !slices.ContainsFunc(others.Servers(), func(s string) bool { return !slices.Contains(named.Servers(), s) })
}

// unnamed says of a refusal that no token was sent and no certificate shown, and how they
// would be. Who asks for a certificate breaks the connection.
func unnamed(err error, servers []string) error {
	if e, ok := errors.AsType[*client.Error](err); !errors.Is(err, client.ErrUnreachable) && (!ok || e.Status != http.StatusUnauthorized) {
		return err
	}
	all := strings.Join(servers, " --server ")
	return fmt.Errorf("%w; no token was sent to %s, and no certificate shown, as only the folder names it: if it is to have yours, say --server %s, or so in MUSTER_SERVER",
		err, strings.Join(servers, ", "), all)
}

// openAround opens the folder dir, or the one that it lies in.
func openAround(dir string) (*folder.Folder, error) {
	f, err := folder.Open(dir)
	if errors.Is(err, folder.ErrNoFolder) {
		return folder.Find(dir)
	}
	return f, err
}

// withFolder does something with the folder that the command line names.
func withFolder(c *cli.Context, do func(*folder.Folder, folder.Server) error) error {
	args, err := names(c, "[DIRECTORY]")
	if err != nil {
		return err
	}
	f, server, explain, err := openFolder(c, args[0], c.StringSlice("server"))
	if err != nil {
		return err
	}
	defer f.Close()
	return explain(do(f, server))
}

func choiceOf(c *cli.Context) folder.Choice {
	return folder.Choice{Ours: c.StringSlice("ours"), Theirs: c.StringSlice("theirs"), InParts: c.Bool("in-parts"), DryRun: c.Bool("dry-run")}
}

func pullFolder(c *cli.Context) error {
	return withFolder(c, func(f *folder.Folder, server folder.Server) error {
		r, err := f.Pull(c.Context, server, choiceOf(c))
		if err = moved(c, f, err); err != nil {
			return err
		}
		return showResult(c, r, func(e folder.Entry) string { return e.There })
	})
}

func pushFolder(c *cli.Context) error {
	return withFolder(c, func(f *folder.Folder, server folder.Server) error {
		r, err := f.Push(c.Context, server, choiceOf(c))
		if errors.Is(err, folder.ErrTooMany) {
			err = fmt.Errorf("%w; with --in-parts they are published one part after the other", err)
		}
		if err = moved(c, f, err); err != nil {
			return err
		}
		return showResult(c, r, func(e folder.Entry) string { return e.Here })
	})
}

// moved makes the folder remember a server that was given, once that has served it.
func moved(c *cli.Context, f *folder.Folder, err error) error {
	if given := c.StringSlice("server"); err == nil && len(given) > 0 && !c.Bool("dry-run") && !slices.Equal(given, f.Origin().Servers) {
		return f.SetServers(given)
	}
	return err
}

// showResult prints what was done, and the conflicts as an error.
func showResult(c *cli.Context, r *folder.Result, did func(folder.Entry) string) error {
	dry := ""
	if r.DryRun {
		dry = " (dry run)"
	}
	lines := rows(r.Done, func(e folder.Entry) []string { return []string{did(e) + dry, e.Path} })
	for _, x := range r.Conflicts {
		lines = append(lines, []string{"conflict", x.Path + ": " + x.Here + " here, " + x.There + " on the server"})
	}
	for _, w := range r.Warnings {
		lines = append(lines, []string{"warning", w})
	}
	if len(lines) == 0 {
		lines = [][]string{{"nothing to " + c.Command.Name}}
	}
	if err := show(c, r, "", lines); err != nil {
		return err
	}
	if c.String("output") == "table" {
		for _, x := range r.Conflicts {
			printDifference(c.App.Writer, x)
		}
		if n := len(r.Left); n > 0 && c.Command.Name == "push" {
			fmt.Fprintf(c.App.Writer, "%d changed on the server alone, for muster config pull\n", n)
		}
	}
	return r.Err()
}

func printDifference(w io.Writer, x folder.Conflict) {
	if x.Fault != "" {
		fmt.Fprintf(w, "%s %s\n", x.Path, x.Fault)
	}
	fmt.Fprint(w, x.Ours, x.Theirs)
}

// folderOutput is what -o json prints of a folder.
type folderOutput struct {
	Folder    string   `json:"folder"`
	Namespace string   `json:"namespace"`
	Servers   []string `json:"servers"`
	*folder.Comparison
}

func folderStatus(c *cli.Context) error {
	return withFolder(c, func(f *folder.Folder, server folder.Server) error {
		seen, err := f.Compare(c.Context, server)
		if err != nil {
			return err
		}
		of := f.Origin()
		lines := rows(slices.DeleteFunc(slices.Clone(seen.Entries), func(e folder.Entry) bool { return e.Next == folder.Settle }),
			func(e folder.Entry) []string {
				if e.Next == folder.Push && e.Fault != "" {
					e.Next = "-" // it would be refused
				}
				return []string{orDash(e.Here), orDash(e.There), string(e.Next), e.Path, e.Fault}
			})
		for _, n := range slices.Concat(seen.Faults, seen.Spare) {
			lines = append(lines, []string{"-", "-", "-", n.Path, n.Text})
		}
		heading := "HERE SERVER NEXT PATH NOTE"
		if len(lines) == 0 {
			heading, lines = "", [][]string{{"in step with " + of.Namespace + " at revision " + strconv.FormatInt(seen.Revision, 10)}}
		}
		return show(c, folderOutput{f.Dir(), of.Namespace, of.Servers, seen}, heading, lines)
	})
}

// diffFolder compares a folder with its server. The flags of a document are of no
// account: the folder knows, and what the environment says must not mislead it.
func diffFolder(c *cli.Context) error {
	find := folder.Find
	if c.IsSet("dir") {
		find = openAround
	}
	f, err := find(c.String("dir"))
	if err != nil {
		return err
	}
	f.Close()
	f, server, explain, err := openFolder(c, f.Dir(), nil)
	if err != nil {
		return err
	}
	defer f.Close()
	seen, err := f.Compare(c.Context, server)
	if err != nil {
		return explain(err)
	}
	all := []folder.Conflict{}
	for _, e := range seen.Entries {
		if e.Next == folder.Settle {
			continue
		}
		d, err := f.Differ(c.Context, server, e)
		if err != nil {
			return err
		}
		all = append(all, folder.Conflict{Entry: e, Difference: d})
	}
	if c.String("output") != "table" {
		return show(c, all, "", nil)
	}
	for _, x := range all {
		printDifference(c.App.Writer, x)
	}
	return nil
}
