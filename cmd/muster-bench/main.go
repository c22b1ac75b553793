// Command muster-bench puts a load on a naming server and says how long its answers
// took: on Muster, and over the HTTP API of Nacos on whatever else speaks that.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/internal/nearest"
)

// version is set when the binary is built.
var version = "dev"

func main() { os.Exit(run(os.Args)) }

// Exit codes of every command.
const (
	exitDone = iota
	exitFailed
	exitUsage
)

// run runs one command line and returns its exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newApp().RunContext(ctx, args)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "muster-bench:", err)
		return exitUsage
	}
	fmt.Fprintln(os.Stderr, "muster-bench:", err)
	return exitFailed
}

// usageError is an error of the command line itself.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func newApp() *cli.App {
	app := &cli.App{
		Name:  "muster-bench",
		Usage: "puts a load on a naming server and says how long its answers took",
		Description: "Calls start when the rate says so, whatever became of earlier ones, and each counts from when it was due.\n" +
			"What a command makes it removes at its end, also when it is interrupted, unless --keep is given.",
		Version:        version,
		HideVersion:    true, // `muster-bench version` says it
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   onUsageError,
		Commands: []*cli.Command{
			registerCommand(), beatCommand(), listCommand(), publishCommand(), getCommand(), listenCommand(), mixedCommand(),
			agentsCommand(), changeCommand(), loadCommand(), questionsCommand(), versionCommand(),
		},
		Action: func(c *cli.Context) error { return unknownCommand(c) },
	}
	for _, c := range app.Commands {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
	}
	return app
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return usageError{err} }

func unknownCommand(c *cli.Context) error {
	if c.NArg() == 0 {
		_ = cli.ShowAppHelp(c) // to a terminal; nothing to do when it is gone
		return usagef("which command is missing")
	}
	word, known := c.Args().First(), make([]string, 0, len(c.App.Commands))
	for _, one := range c.App.Commands {
		known = append(known, one.Name)
	}
	if meant := nearest.Of(word, known); meant != "" {
		return usagef("no command %q, did you mean %q", word, meant)
	}
	return usagef("no command %q: it is one of %s", word, strings.Join(known, ", "))
}

func versionCommand() *cli.Command {
	return &cli.Command{Name: "version", Usage: "say which version this is", Action: func(c *cli.Context) error {
		_, err := fmt.Fprintln(c.App.Writer, "muster-bench", version)
		return err
	}}
}
