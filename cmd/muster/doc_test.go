package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "write generated documents instead of comparing them")

const cliReference = "../../docs/cli.md"

// TestCLIReference compares docs/cli.md with the commands, or with -update, as
// `go generate` calls it, writes it.
func TestCLIReference(t *testing.T) {
	want := reference(newApp())
	if *update {
		if err := os.WriteFile(cliReference, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(cliReference)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/cli.md is not what the commands say, run go generate ./cmd/muster (-want +got):\n%s", diff)
	}
}

// reference renders every command in the order of the help.
func reference(app *cli.App) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nGenerated from the commands by `make generate`: edit those.\n\n")
	b.WriteString("Flags may stand before and after the names. A variable of the environment counts where its flag is not\n" +
		"given; one of a repeatable flag holds values separated by commas. Every command has `--help`.\n\n")
	b.WriteString("| Exit code | Means |\n|---|---|\n")
	for code, means := range []string{exitDone: "done", exitFailed: "failed", exitUsage: "the command line is wrong",
		exitNotFound: "not found", exitConflict: "conflict with what stands", exitNotAllowed: "not allowed",
		exitUnreachable: "no server answers, or none can serve now"} {
		fmt.Fprintf(&b, "| %d | %s |\n", code, means)
	}
	for _, c := range app.VisibleCommands() {
		commandReference(&b, c, app.Name)
	}
	return b.String()
}

// commandReference renders one command, then those below it.
func commandReference(b *strings.Builder, c *cli.Command, above string) {
	path := above + " " + c.Name
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", path, capitalized(c.Usage))
	if len(c.Flags) > 0 || len(c.Subcommands) == 0 {
		fmt.Fprintf(b, "\n```text\n%s\n```\n", strings.TrimSpace(synopsis(c, path)))
	}
	if c.Description != "" {
		fmt.Fprintf(b, "\n%s\n", c.Description)
	}
	if len(c.Flags) > 0 {
		b.WriteString("\n| Flag | Environment | Default | Meaning |\n|---|---|---|---|\n")
		for _, f := range c.Flags {
			flagReference(b, f.(cli.DocGenerationFlag))
		}
	}
	for _, sub := range c.Subcommands {
		commandReference(b, sub, path)
	}
}

func synopsis(c *cli.Command, path string) string {
	if len(c.Flags) > 0 {
		path += " [flags]"
	}
	return path + " " + c.ArgsUsage
}

func flagReference(b *strings.Builder, f cli.DocGenerationFlag) {
	usage, value := f.GetUsage(), ""
	if f.TakesValue() {
		value = " VALUE"
		if parts := strings.SplitN(usage, "`", 3); len(parts) == 3 {
			value, usage = " "+parts[1], strings.Join(parts, "")
		}
	}
	var names, env []string
	for _, n := range f.(cli.Flag).Names() {
		dash := "--"
		if len(n) == 1 {
			dash = "-"
		}
		names = append(names, "`"+dash+n+value+"`")
	}
	for _, e := range f.GetEnvVars() {
		env = append(env, "`"+e+"`")
	}
	usual := strings.Trim(f.GetDefaultText(), `"`)
	if usual == "false" {
		usual = ""
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s |\n", strings.Join(names, ", "), strings.Join(env, ", "), escaped(usual), escaped(usage))
}

// escaped keeps a text from being taken for HTML.
func escaped(s string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;", "|", `\|`).Replace(s)
}

func capitalized(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
