package main

import (
	"regexp"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/internal/nearest"
)

// What the packages below say of flags: with one dash, and of a wrong value only that it
// could not be parsed.
var (
	badValue     = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-+([^:]+): (.*)$`)
	badVariable  = regexp.MustCompile(`^could not parse (".*") as .* from environment variable "([^"]+)" for flag ([^:]+): `)
	unknownFlag  = regexp.MustCompile(`^flag provided but not defined: -+(.*)$`)
	missingValue = regexp.MustCompile(`^flag needs an argument: -+(.*)$`)
)

// onUsageError tells of flags as they are written, and of what is wanted.
func onUsageError(c *cli.Context, err error, _ bool) error {
	var flags []cli.Flag
	if c != nil && c.Command != nil {
		flags = c.Command.Flags
	}
	text := err.Error()
	if m := badValue.FindStringSubmatch(text); m != nil {
		if want := valueWanted(flags, m[2]); want != "" {
			return usagef("%s: %s is not %s", dashed(m[2]), m[1], want)
		}
		return usagef("%s: %s: %s", dashed(m[2]), m[1], m[3])
	}
	if m := badVariable.FindStringSubmatch(text); m != nil {
		if want := valueWanted(flags, m[3]); want != "" {
			return usagef("%s: %s is not %s", m[2], m[1], want)
		}
	}
	if m := unknownFlag.FindStringSubmatch(text); m != nil {
		var known []string
		for _, f := range flags {
			known = append(known, f.Names()...)
		}
		if meant := nearest.Of(m[1], known); meant != "" {
			return usagef("no flag %s, did you mean %s", dashed(m[1]), dashed(meant))
		}
		return usagef("no flag %s", dashed(m[1]))
	}
	if m := missingValue.FindStringSubmatch(text); m != nil {
		return usagef("%s: its value is missing", dashed(m[1]))
	}
	return usageError{err}
}

func dashed(flag string) string {
	if len(flag) == 1 {
		return "-" + flag
	}
	return "--" + flag
}

// valueWanted says what a flag takes, "" where any text is.
func valueWanted(flags []cli.Flag, name string) string {
	for _, f := range flags {
		for _, n := range f.Names() {
			if n != name {
				continue
			}
			switch f.(type) {
			case *cli.DurationFlag:
				return "a duration such as 90s, 15m or 720h"
			case *cli.IntFlag, *cli.Int64Flag, *cli.UintFlag, *cli.Uint64Flag:
				return "a whole number"
			case *cli.Float64Flag:
				return "a number"
			case *cli.BoolFlag:
				return "true or false"
			}
		}
	}
	return ""
}
