package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// wanted is what may stand at the end of a command line.
type wanted struct {
	kind   string // placeholder of a name or of a flag's value; or one of the kinds below
	prefix string // stands before it in the same word, such as --output=
	typed  string // begin of it, as typed so far

	command *cli.Command        // below or of which it stands, nil: at the beginning
	flags   map[string][]string // values of flags that were given, by their first names
	names   []string            // arguments before it that are no flags
	literal bool                // it stands after --, where nothing is a flag
}

// Kinds of wanted beside placeholders.
const (
	wantNothing = ""
	wantCommand = "a command"
	wantFlag    = "a flag"
)

// want reads the words of a command line, without the program, up to the one that
// is to be completed, which may be empty.
func want(app *cli.App, words []string) wanted {
	if len(words) == 0 {
		return wanted{}
	}
	w := wanted{kind: wantCommand, typed: words[len(words)-1], flags: map[string][]string{}}
	commands, before := app.Commands, words[:len(words)-1]
	for len(before) > 0 {
		next := find(commands, before[0])
		if next == nil {
			break
		}
		w.command, commands, before = next, next.Subcommands, before[1:]
	}
	if w.command == nil {
		if len(before) > 0 {
			w.kind = wantNothing
		}
		return w
	}
	open := w.read(before)
	switch name, value, assigned := strings.Cut(w.typed, "="); {
	case open != nil:
		w.kind = valueKind(open)
	case w.literal || !strings.HasPrefix(w.typed, "-"):
		w.kind = w.nameKind()
	case assigned:
		w.kind, w.prefix, w.typed = wantNothing, name+"=", value
		if f := flagOf(w.command, name); f != nil {
			w.kind = valueKind(f)
		}
	default:
		w.kind = wantFlag
	}
	return w
}

// read takes in what stands before: flags and names in any order. Open is a flag
// whose value comes next; after -- all are names.
func (w *wanted) read(before []string) (open cli.Flag) {
	for _, word := range before {
		name, value, assigned := strings.Cut(word, "=")
		switch {
		case open != nil:
			w.flags[open.Names()[0]] = append(w.flags[open.Names()[0]], word)
			open = nil
		case word == "--" && !w.literal:
			w.literal = true
		case w.literal || len(word) < 2 || word[0] != '-':
			w.names = append(w.names, word)
		default:
			f := flagOf(w.command, name)
			if f == nil {
				continue
			}
			if !assigned && takesValue(w.command, name) {
				open = f
				continue
			}
			w.flags[f.Names()[0]] = append(w.flags[f.Names()[0]], value)
		}
	}
	return open
}

// nameKind is the placeholder of the next name.
func (w *wanted) nameKind() string {
	usage := strings.Fields(w.command.ArgsUsage)
	switch {
	case len(w.command.Subcommands) > 0 && len(w.names) == 0:
		return wantCommand
	case len(w.names) < len(usage):
		return strings.Trim(usage[len(w.names)], "[]")
	}
	return wantNothing
}

// valueKind is the name of a flag whose values are known, else its placeholder.
func valueKind(f cli.Flag) string {
	switch name := f.Names()[0]; name {
	case "namespace", "group", "cluster":
		return strings.ToUpper(name)
	case "output", "check", "dns-mode", "dns-topology", "log-level", "log-format", "type", "validate", "secrets", "on-conflict":
		return name
	}
	if doc, ok := f.(cli.DocGenerationFlag); ok {
		if parts := strings.SplitN(doc.GetUsage(), "`", 3); len(parts) == 3 {
			return parts[1]
		}
	}
	return wantNothing
}

// flagOf returns the flag that an argument such as --output or -o names.
func flagOf(c *cli.Command, arg string) cli.Flag {
	name := strings.TrimLeft(arg, "-")
	for _, f := range c.Flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// glued joins what bash takes apart at the colons and equals signs of a word, in
// 192.0.2.1:80 or in --output=json. An empty word is one of its own.
func glued(words []string) []string {
	var all []string
	join := false
	for _, word := range words {
		sign := word != "" && strings.Trim(word, ":=") == ""
		if len(all) > 0 && word != "" && (join || sign) {
			all[len(all)-1] += word
		} else {
			all = append(all, word)
		}
		join = sign
	}
	return all
}
