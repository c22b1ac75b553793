package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// permute puts the flags of the last command in args before its names, so that
// they may stand anywhere: the library stops reading flags at the first name.
func permute(app *cli.App, args []string) []string {
	commands, i := app.Commands, 1
	var leaf *cli.Command
	for ; i < len(args); i++ {
		next := find(commands, args[i])
		if next == nil {
			break
		}
		leaf, commands = next, next.Subcommands
	}
	if leaf == nil || leaf.SkipFlagParsing {
		return args
	}
	var flags, names []string
	for rest := args[i:]; len(rest) > 0; rest = rest[1:] {
		arg := rest[0]
		switch {
		case arg == "--":
			return join(args[:i], flags, []string{"--"}, names, rest[1:])
		case len(arg) < 2 || arg[0] != '-':
			names = append(names, arg)
		default:
			flags = append(flags, arg)
			if len(rest) > 1 && takesValue(leaf, arg) {
				rest = rest[1:]
				flags = append(flags, rest[0])
			}
		}
	}
	return join(args[:i], flags, names)
}

func join(parts ...[]string) []string {
	var all []string
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// takesValue reports whether the value of a flag is the next argument.
func takesValue(c *cli.Command, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	for _, f := range c.Flags {
		for _, n := range f.Names() {
			if _, isBool := f.(*cli.BoolFlag); n == name && !isBool {
				return true
			}
		}
	}
	return false
}

// names returns the arguments that are no flags, as many as want names, of
// which those in brackets may be missing, and none empty.
func names(c *cli.Context, want ...string) ([]string, error) {
	got := c.Args().Slice()
	for i, w := range want {
		if i >= len(got) && !strings.HasPrefix(w, "[") {
			return nil, usagef("%s is missing: %s %s", strings.ToLower(w), c.Command.HelpName, strings.Join(want, " "))
		}
	}
	if len(got) > len(want) {
		return nil, usagef("unexpected %q: %s", got[len(want)], strings.TrimSpace(c.Command.HelpName+" "+strings.Join(want, " ")))
	}
	for i, name := range got { // a variable of a script that is not set, as a rule
		if name == "" {
			return nil, usagef("%s is empty: %s %s", strings.ToLower(strings.Trim(want[i], "[]")), c.Command.HelpName, strings.Join(want, " "))
		}
	}
	return append(got, make([]string, len(want)-len(got))...), nil
}
