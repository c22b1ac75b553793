package main

import (
	"embed"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"
)

//go:embed completion
var completionScripts embed.FS

// completeCommandName is what the scripts call: SHELL and the words so far, after
// those of bash what it parts words at.
const completeCommandName = "__complete"

func completionCommand() *cli.Command {
	return &cli.Command{Name: "completion", Usage: "print the script that completes commands, flags and names in a shell", ArgsUsage: "SHELL",
		Description: "SHELL is bash, zsh or fish. Names of services, namespaces and so on are asked of the server that the command line\n" +
			"or the environment names; when it does not answer within a second, there are none.\n\n" +
			"    bash  source <(muster completion bash)                       in ~/.bashrc\n" +
			"    zsh   source <(muster completion zsh)                        in ~/.zshrc, after compinit\n" +
			"    fish  muster completion fish > ~/.config/fish/completions/muster.fish",
		Action: func(c *cli.Context) error {
			args, err := names(c, "SHELL")
			if err != nil {
				return err
			}
			script, err := completionScripts.ReadFile("completion/muster." + args[0])
			if err != nil {
				return usagef("shell: %q is not one of bash, zsh, fish", args[0])
			}
			_, err = c.App.Writer.Write(script)
			return err
		}}
}

func completeCommand() *cli.Command {
	return &cli.Command{Name: completeCommandName, Hidden: true, HideHelp: true, HideHelpCommand: true, SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if len(args) < 2 {
				return usagef("%s: shell or words are missing", completeCommandName)
			}
			shell, words := args[0], args[1:]
			write, cut := plainCandidate, ""
			if shell == "bash" {
				words = glued(words[1:])
				write, cut = bashCandidate, cutAt(args[1], words)
			}
			all, files := want(newApp(), words).candidates(c.Context, newApp())
			if files {
				_, err := fmt.Fprintln(c.App.Writer, "\tfiles")
				return err
			}
			for _, one := range all {
				if err := write(c.App.Writer, one, cut); err != nil {
					return err
				}
			}
			return nil
		}}
}

// plainCandidate prints what zsh and fish read, which quote it themselves.
func plainCandidate(w io.Writer, c candidate, _ string) error {
	if c.text != "" && !strings.ContainsFunc(c.text, unicode.IsControl) {
		c.value += "\t" + c.text
	}
	_, err := fmt.Fprintln(w, c.value)
	return err
}

// bashCandidate prints what bash puts into the command line as it is, without
// what stands before the place where it parts the word.
func bashCandidate(w io.Writer, c candidate, cut string) error {
	_, err := fmt.Fprintln(w, quoted(strings.TrimPrefix(c.value, cut)))
	return err
}

// cutAt returns what of the last word stands before the part that bash completes.
func cutAt(breaks string, words []string) string {
	if len(words) == 0 {
		return ""
	}
	last := words[len(words)-1]
	return last[:strings.LastIndexFunc(last, func(r rune) bool { return (r == ':' || r == '=') && strings.ContainsRune(breaks, r) })+1]
}

// quoted keeps a name from being more than a word: who registers a service may
// call it almost anything.
func quoted(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < unicode.MaxASCII && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./:@%+=,", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
