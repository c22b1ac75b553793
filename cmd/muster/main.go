// Command muster is a DNS-first naming server with a sidecar agent, and the
// commands to work with both.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/folder"
	"github.com/musterhq/muster/internal/nearest"
)

// version is set when the binary is built.
var version = "dev"

//go:generate go test -count=1 -timeout 2m -run ^TestCLIReference$ . -update

func main() { os.Exit(run(os.Args)) }

// Exit codes of every command.
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitNotFound
	exitConflict
	exitNotAllowed
	exitUnreachable
)

// run runs one command line and returns its exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	app := newApp()
	err := app.RunContext(ctx, permute(app, args))
	if err != nil && !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, "muster:", visible(inWords(err), "\n\t"))
	}
	return exitCode(err)
}

// inWords is the text of an error, with what to do where that is always the same, and with
// services as they are written everywhere else: servers name them as Nacos does.
func inWords(err error) string {
	if _, ok := errors.AsType[*client.Error](err); ok {
		return strings.ReplaceAll(err.Error(), "@@", "/") // no name has this in it
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return err.Error() + "; --ca names the FILE of an authority of one's own"
	}
	return err.Error()
}

// errReported is the error of a command that has said already what is wrong.
var errReported = errors.New("reported")

// usageError is an error of the command line itself.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode is the one place where an error becomes an exit code.
func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage), errors.Is(err, folder.ErrNoMatch):
		return exitUsage
	case errors.Is(err, client.ErrNotFound):
		return exitNotFound
	case errors.Is(err, client.ErrConflict), errors.Is(err, folder.ErrConflict):
		return exitConflict
	case errors.Is(err, client.ErrNotAllowed):
		return exitNotAllowed
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, client.ErrUnavailable), errors.Is(err, folder.ErrBehind), errors.Is(err, errUntold):
		return exitUnreachable
	}
	return exitFailed
}

func newApp() *cli.App {
	app := &cli.App{
		Name:                   "muster",
		Usage:                  "a naming server that answers in DNS, with an agent for each host",
		Version:                version,
		HideVersion:            true, // `muster version` says it
		UseShortOptionHandling: false,
		ExitErrHandler:         func(*cli.Context, error) {}, // exitCode does it
		OnUsageError:           onUsageError,
		Commands: []*cli.Command{
			devCommand(), serverCommand(), agentCommand(),
			serviceCommand(), instanceCommand(), namespaceCommand(), configCommand(),
			resolveCommand(), statusCommand(), memberCommand(), protectionCommand(), authCommand(), tlsCommand(), backupCommand(), restoreCommand(), auditCommand(),
			checkCommand(), completionCommand(), versionCommand(), etcdCommand(), completeCommand(),
		},
		Action: func(c *cli.Context) error { return unknownCommand(c, "") },
	}
	for _, c := range app.Commands {
		strict(c, c.Name)
	}
	return app
}

// strict gives every command our usage errors, and one that only groups others
// an error for a name that is none of them.
func strict(c *cli.Command, path string) {
	c.OnUsageError = onUsageError
	c.HideHelpCommand = len(c.Subcommands) == 0 // what follows is a name, and may be "help"
	if len(c.Subcommands) > 0 && c.Action == nil {
		c.Action = func(ctx *cli.Context) error { return unknownCommand(ctx, path) }
	}
	for _, sub := range c.Subcommands {
		strict(sub, path+" "+sub.Name)
	}
}

func unknownCommand(c *cli.Context, path string) error {
	if c.NArg() == 0 {
		_ = cli.ShowSubcommandHelp(c) // to a terminal; nothing to do when it is gone
		return usagef("%s: which command is missing", strings.TrimSpace("muster "+path))
	}
	word := c.Args().First()
	if meant := nearest.Of(word, commandNames(c)); meant != "" {
		return usagef("%s: no command %q, did you mean %q", strings.TrimSpace("muster "+path), word, meant)
	}
	return usagef("%s: no command %q", strings.TrimSpace("muster "+path), word)
}

// commandNames returns what may stand where the command of c is.
func commandNames(c *cli.Context) []string {
	commands := c.App.Commands
	if c.Command != nil && len(c.Command.Subcommands) > 0 {
		commands = c.Command.Subcommands
	}
	all := make([]string, 0, len(commands))
	for _, one := range commands {
		if !one.Hidden {
			all = append(all, one.Name)
		}
	}
	return all
}

func versionCommand() *cli.Command {
	return &cli.Command{Name: "version", Usage: "say which version this is", Action: func(c *cli.Context) error {
		if _, err := names(c); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.App.Writer, "muster", version)
		return err
	}}
}
