package folder_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/musterhq/muster/internal/folder"
)

// threeway is every way in which what both sides had last and what each has now can
// be the same or not, with each of them being there or not. A dash is nothing.
var threeway = []struct {
	base, here, there string
	next              folder.Next
	did, theyDid      string // what the folder did, and the server
}{
	{"-", "-", "-", folder.Nothing, "", ""},
	{"A", "A", "A", folder.Nothing, "", ""},
	// One side alone.
	{"A", "B", "A", folder.Push, "changed", ""},
	{"A", "-", "A", folder.Push, "removed", ""},
	{"-", "B", "-", folder.Push, "added", ""},
	{"A", "A", "B", folder.Pull, "", "changed"},
	{"A", "A", "-", folder.Pull, "", "removed"},
	{"-", "-", "B", folder.Pull, "", "added"},
	// Both, to the same end.
	{"A", "B", "B", folder.Settle, "changed", "changed"},
	{"A", "-", "-", folder.Settle, "removed", "removed"},
	{"-", "B", "B", folder.Settle, "added", "added"},
	// Both, to different ends.
	{"A", "B", "C", folder.Clash, "changed", "changed"},
	{"A", "B", "-", folder.Clash, "changed", "removed"},
	{"A", "-", "C", folder.Clash, "removed", "changed"},
	{"-", "B", "C", folder.Clash, "added", "added"},
}

const threewayPath = "g/app.yaml"

// text returns the content that a letter of the table stands for.
func text(letter string) string {
	if letter == "-" {
		return ""
	}
	return "content " + letter + "\n"
}

// only returns the contents of a side that has this one document, if any.
func only(letter string) map[string]string {
	all := map[string]string{"g/same": "same"} // so that the group stays
	if letter != "-" {
		all[threewayPath] = text(letter)
	}
	return all
}

// apart returns a folder and a namespace in the state that a row tells of.
func apart(t *testing.T, base, here, there string) (*folder.Folder, *namespace) {
	t.Helper()
	n := newNamespace(only(base))
	f := clone(t, n)
	if here != base {
		edit(t, f, threewayPath, text(here))
	}
	if there != base {
		n.put(threewayPath, text(there))
	}
	return f, n
}

func TestThreeWays(t *testing.T) {
	for _, c := range threeway {
		t.Run(c.base+c.here+c.there, func(t *testing.T) {
			t.Parallel()
			if got := folder.NextOf(c.base, c.here, c.there); got != c.next {
				t.Errorf("next = %q, want %q", got, c.next)
			}
			f, n := apart(t, c.base, c.here, c.there)
			seen, err := f.Compare(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			if (len(seen.Entries) == 0) != (c.next == folder.Nothing) {
				t.Fatalf("entries = %v, want one for %q", seen.Entries, c.next)
			}
			for _, e := range seen.Entries {
				if e.Path != threewayPath || e.Next != c.next || e.Here != c.did || e.There != c.theyDid {
					t.Errorf("entry = %+v, want %q, %q here, %q there", e, c.next, c.did, c.theyDid)
				}
			}
		})
	}
}

// outcome is what a command must leave.
type outcome struct {
	here, there string
	conflict    bool
	after       folder.Next // what is next then
}

// What each command makes of each row, with each choice. What it does not say to be
// done is not done on either side, and the next comparison finds the rest.
func TestOutcomes(t *testing.T) {
	const pull, push = "pull", "push"
	all := []string{threewayPath}
	for _, c := range threeway {
		both := func(letter string) outcome { return outcome{letter, letter, false, folder.Nothing} }
		stays := outcome{c.here, c.there, false, c.next}
		conflict := outcome{c.here, c.there, true, folder.Clash}
		type trial struct {
			command string
			choice  folder.Choice
			want    outcome
		}
		var trials []trial
		add := func(command string, want outcome, choice folder.Choice) {
			trials = append(trials, trial{command, choice, want})
		}
		ours, theirs, none := folder.Choice{Ours: all}, folder.Choice{Theirs: all}, folder.Choice{}
		switch c.next {
		case folder.Nothing, folder.Settle:
			for _, command := range []string{pull, push} {
				add(command, both(c.here), none)
			}
		case folder.Pull:
			add(pull, both(c.there), none)
			add(pull, both(c.there), ours) // there is nothing of ours
			add(pull, both(c.there), theirs)
			add(push, stays, none)
			add(push, stays, ours)
		case folder.Push:
			add(push, both(c.here), none)
			add(push, both(c.here), ours)
			add(pull, stays, none)
			add(pull, stays, ours)
			if c.there == "-" {
				add(pull, stays, theirs) // a new file is nothing that the server has
			} else {
				add(pull, both(c.there), theirs)
			}
		case folder.Clash:
			add(pull, conflict, none)
			add(push, conflict, none)
			add(pull, both(c.there), theirs)
			add(pull, outcome{c.here, c.there, false, folder.Push}, ours)
			add(push, both(c.here), ours)
		}
		for _, tr := range trials {
			name := c.base + c.here + c.there + "/" + tr.command
			for _, paths := range [][]string{tr.choice.Ours, tr.choice.Theirs} {
				if len(paths) > 0 {
					name += map[bool]string{true: " ours", false: " theirs"}[len(tr.choice.Ours) > 0]
				}
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f, n := apart(t, c.base, c.here, c.there)
				do := f.Pull
				if tr.command == push {
					do = f.Push
				}
				if c.base+c.here+c.there != "---" { // else the path stands for nothing
					dry := tr.choice
					dry.DryRun = true
					if _, err := do(t.Context(), n, dry); err != nil {
						t.Errorf("dry run = %v", err)
					}
					if d := differing(files(t, f), only(c.here)) + differing(n.contents(), only(c.there)); d != "" {
						t.Fatalf("a dry run changed something: %s", d)
					}
				}
				r, err := do(t.Context(), n, tr.choice)
				if err != nil {
					t.Fatal(err)
				}
				if got := errors.Is(r.Err(), folder.ErrConflict); got != tr.want.conflict {
					t.Errorf("conflict = %v, want %v", r.Err(), tr.want.conflict)
				}
				if d := differing(files(t, f), only(tr.want.here)); d != "" {
					t.Errorf("in the folder: %s", d)
				}
				if d := differing(n.contents(), only(tr.want.there)); d != "" {
					t.Errorf("on the server: %s", d)
				}
				want := map[string]string{}
				if tr.want.after != folder.Nothing {
					want[threewayPath] = string(tr.want.after)
				}
				if got := states(t, f, n); !maps.Equal(got, want) {
					t.Errorf("next = %v, want %v", got, want)
				}
			})
		}
	}
}
