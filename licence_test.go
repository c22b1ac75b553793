package muster_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// licence is one that what is linked into our programs may have: it lets them be given
// away under ours.
type licence struct {
	name  string
	words []string // of its text, all of which it has
}

var licences = []licence{
	{"Apache-2.0", []string{"Apache License Version 2.0, January 2004", "Grant of Patent License"}},
	{"MPL-2.0", []string{"Mozilla Public License", "2.0", "Distribution of Source Form"}},
	{"MIT", []string{"Permission is hereby granted, free of charge, to any person obtaining a copy", "THE SOFTWARE IS PROVIDED \"AS IS\""}},
	{"ISC", []string{"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"}},
	{"BSD-2-Clause or BSD-3-Clause", []string{"Redistribution and use in source and binary forms, with or without modification, are permitted", "Redistributions in binary form must reproduce the above copyright notice"}},
	{"CC0-1.0", []string{"CC0 1.0 Universal"}},
}

// takenAside are words of texts that are allowed, with more asked for beside them. The
// Mozilla licence names the second in passing.
var takenAside = []string{"Commons Clause", "GNU General Public License", "Affero", "Business Source License", "Server Side Public License", "non-commercial"}

// licenceFile is what files of licences are called.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)`)

// judge returns the licence of a text, or why it is none that is allowed.
func judge(text string) (string, error) {
	// Lines are broken anywhere, and some texts are comments or quotations.
	text = strings.ToLower(strings.Join(strings.Fields(strings.NewReplacer("//", " ", ">", " ", "“", `"`, "”", `"`).Replace(text)), " "))
	has := func(words string) bool { return strings.Contains(text, strings.ToLower(words)) }
	for _, l := range licences {
		if slices.ContainsFunc(l.words, func(w string) bool { return !has(w) }) {
			continue
		}
		for _, w := range takenAside {
			if has(w) && (l.name != "MPL-2.0" || w == "Commons Clause") {
				return "", fmt.Errorf("it is %s, and names %q", l.name, w)
			}
		}
		return l.name, nil
	}
	return "", fmt.Errorf("it is none of those that are known: read it, and if it is allowed, name it in licence_test.go")
}

// What our programs are made of may be given away with them.
func TestLicencesOfDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}", "./cmd/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	modules := strings.Fields(strings.Join(slices.Compact(slices.Sorted(strings.Lines(string(out)))), ""))
	for pair := range slices.Chunk(modules, 2) {
		files, err := os.ReadDir(pair[1])
		if err != nil {
			t.Fatal(err)
		}
		known := false
		for _, f := range files {
			if f.IsDir() || !licenceFile.MatchString(f.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(pair[1], f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := judge(string(text)); err != nil {
				t.Errorf("%s of %s: %v", f.Name(), pair[0], err)
			}
			known = true
		}
		if !known {
			t.Errorf("%s has no file that says its licence", pair[0])
		}
	}
	if len(modules) < 2*50 {
		t.Errorf("%d modules were looked at, want all", len(modules)/2)
	}
}

func TestJudge(t *testing.T) {
	mit := strings.Join(licences[2].words, "\n * ")
	for name, tt := range map[string]struct{ text, want string }{
		"allowed":              {"Copyright (c) 2026\n" + strings.ReplaceAll(licences[2].words[0], " to any ", "\nto any ") + " ... " + licences[2].words[1], "MIT"},
		"with a restriction":   {licences[2].words[0] + licences[2].words[1] + " \"Commons Clause\" License Condition v1.0", ""},
		"half of one":          {licences[2].words[0], ""},
		"another":              {"GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007", ""},
		"in one with more":     {"Business Source License 1.1. " + strings.Join(licences[0].words, " "), ""},
		"empty":                {"", ""},
		"Mozilla's names GPL":  {"Mozilla Public License 2.0, Distribution of Source Form, the GNU General Public License, Version 2.0", "MPL-2.0"},
		"with stars before it": {mit, "MIT"},
	} {
		if got, err := judge(tt.text); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("judge(%s) = %q, %v, want %q", name, got, err, tt.want)
		}
	}
}
