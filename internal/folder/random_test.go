package folder_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/musterhq/muster/internal/folder"
)

// model says what both sides of a folder must hold, by path: what they had in common
// last, and what each has.
type model struct{ base, here, there map[string]string }

func (m *model) conflict(path string) bool {
	b, h, t := m.base[path], m.here[path], m.there[path]
	return h != t && h != b && t != b
}

// become makes both sides hold a content.
func (m *model) become(path, content string) {
	for _, side := range []map[string]string{m.base, m.here, m.there} {
		if side[path] = content; content == "" {
			delete(side, path)
		}
	}
}

// pull and push do what the table of single documents says to every one of them.
func (m *model) pull(paths, theirs []string) {
	for _, path := range paths {
		b, h, t := m.base[path], m.here[path], m.there[path]
		forced := len(theirs) > 0 && (m.conflict(path) || t != "")
		if h == t || h == b || forced {
			m.become(path, t)
		}
	}
}

func (m *model) push(paths []string) (conflict bool) {
	for _, path := range paths {
		conflict = conflict || m.conflict(path)
	}
	for _, path := range paths {
		b, h, t := m.base[path], m.here[path], m.there[path]
		if !conflict && (t == b || h == t) {
			m.become(path, h)
		}
	}
	return conflict
}

// Whatever both sides do to several documents, each command does what it says to each
// of them, and a conflict of one keeps a push of all back.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			paths := []string{"g/a", "g/b", "h/%2Ec", "h/d"}
			m := model{map[string]string{}, map[string]string{}, map[string]string{}}
			n := newNamespace(nil)
			f := clone(t, n)
			for step := range 50 {
				path, content := paths[random.IntN(len(paths))], []string{"", "A", "B", "C"}[random.IntN(4)]
				did := ""
				switch random.IntN(8) {
				case 0, 1, 2:
					did = "edit " + path + " to " + content
					if content != m.here[path] {
						edit(t, f, path, content)
					}
					if m.here[path] = content; content == "" {
						delete(m.here, path)
					}
				case 3, 4:
					did = "publish " + path + " as " + content
					n.put(path, content)
					if m.there[path] = content; content == "" {
						delete(m.there, path)
					}
				case 5, 6:
					theirs := [][]string{nil, {"."}}[random.IntN(2)]
					did = fmt.Sprintf("pull --theirs %q", theirs)
					m.pull(paths, theirs)
					if _, err := f.Pull(t.Context(), n, folder.Choice{Theirs: theirs}); err != nil {
						t.Fatalf("step %d, %s = %v", step, did, err)
					}
				case 7:
					did = "push"
					conflict := m.push(paths)
					r, err := f.Push(t.Context(), n, folder.Choice{})
					if err != nil || (r.Err() != nil) != conflict {
						t.Fatalf("step %d, push = %v, %v, want a conflict: %v", step, r, err, conflict)
					}
				}
				if d := differing(files(t, f), m.here); d != "" {
					t.Fatalf("step %d, %s, in the folder: %s", step, did, d)
				}
				if d := differing(n.contents(), m.there); d != "" {
					t.Fatalf("step %d, %s, on the server: %s", step, did, d)
				}
				want := map[string]string{}
				for _, path := range paths {
					if next := folder.NextOf(m.base[path], m.here[path], m.there[path]); next != folder.Nothing {
						want[path] = string(next)
					}
				}
				if got := states(t, f, n); !maps.Equal(got, want) {
					t.Fatalf("step %d, %s, next = %v, want %v", step, did, got, want)
				}
			}
		})
	}
}
