package folder_test

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/folder"
)

func TestPath(t *testing.T) {
	long := strings.Repeat("n", 255)
	for _, c := range []struct {
		name       string
		group, id  string
		want       string
		components int
	}{
		{"as it is", "DEFAULT_GROUP", "app.yaml", "DEFAULT_GROUP/app.yaml", 2},
		{"colons and case", "a:b", "App.YAML:1", "a:b/App.YAML:1", 2},
		{"other letters", "группа", "配置.yaml", "группа/配置.yaml", 2},
		{"a hidden file", "g", ".env", "g/%2Eenv", 2},
		{"a staged file", "g", ".muster-x", "g/%2Emuster-x", 2},
		{"what the folder remembers", ".muster", "state.json", "%2Emuster/state.json", 2},
		{"the directory itself", ".", ".", "%2E/%2E", 2},
		{"the directory above", "..", "..", "%2E./%2E.", 2},
		{"the longest name of a file", "g", long, "g/" + long, 2},
		{"one byte more", "g", long + "x", "g/" + long[:254] + "%/nx", 3},
		{"a dot where it is cut", "g", long[:254] + ".e", "g/" + long[:254] + "%/%2Ee", 3},
		{"a dot that makes it too long", "g", "." + long[:254], "g/%2E" + long[:251] + "%/nnn", 3},
		{"long and of other letters", strings.Repeat("群", 128), strings.Repeat("𠀀", 256),
			strings.Repeat("群", 84) + "%/" + strings.Repeat("群", 44) + "/" + strings.Repeat(strings.Repeat("𠀀", 63)+"%/", 4) + strings.Repeat("𠀀", 4), 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := folder.Key{Group: c.group, DataID: c.id}
			got := k.Path()
			if got != c.want || strings.Count(got, "/")+1 != c.components {
				t.Errorf("Path = %q, want %q", got, c.want)
			}
			if back, err := folder.KeyOf(got); err != nil || back != k {
				t.Errorf("KeyOf(%q) = %q, %v, want %q", got, back, err, k)
			}
		})
	}
}

func TestNoPath(t *testing.T) {
	for _, path := range []string{
		"", "/", "g", "g/", "/a", "g//a", "g/a/b", "./a", "../a", "g/..", "g/.", "g/.env", ".muster/state.json",
		"g/two words", "g/a%2Eb", "g/%2e", "g/a%", "g/a%/b", "g/%/b", "%", "%2E/", "g/\x00", "g/\xff", "g/a\n", "g/a~",
		"g/" + strings.Repeat("n", 256), "g/" + strings.Repeat("n", 254) + "%/x%/y",
	} {
		if k, err := folder.KeyOf(path); err == nil {
			t.Errorf("KeyOf(%q) = %q, want an error", path, k)
		}
	}
}

// Every document has one path that can be made below a folder, and every path is of
// one document.
func FuzzPath(f *testing.F) {
	for _, seed := range [][2]string{{"DEFAULT_GROUP", "app.yaml"}, {".", ".."}, {".muster", "state.json"}, {"a", strings.Repeat("n", 256)},
		{"a", strings.Repeat("n", 254) + ".."}, {"%2E", "%"}, {"a/b", "c"}, {strings.Repeat("群", 128), strings.Repeat("𠀀", 256)}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, group, id string) {
		k := folder.Key{Group: group, DataID: id}
		if back, err := folder.KeyOf(group + "/" + id); err == nil && back.Path() != group+"/"+id {
			t.Errorf("KeyOf(%q) = %q, whose path is %q", group+"/"+id, back, back.Path())
		}
		if k.Validate() != nil {
			return
		}
		path := k.Path()
		for part := range strings.SplitSeq(path, "/") {
			if part == "" || len(part) > 255 || strings.HasPrefix(part, ".") {
				t.Errorf("Path of %q = %q, of which %q is no name of a file that is seen", k, path, part)
			}
		}
		if back, err := folder.KeyOf(path); err != nil || back != k {
			t.Errorf("KeyOf(%q) = %q, %v, want %q", path, back, err, k)
		}
	})
}
