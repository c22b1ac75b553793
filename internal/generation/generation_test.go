package generation_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/musterhq/muster/internal/generation"
)

var anyone = generation.Perm{Dir: 0o750, UID: -1, GID: -1}

func files(version string) []generation.File {
	return []generation.File{
		{Name: "app.conf", Content: []byte("app " + version), Mode: 0o640},
		{Name: "sub/dir/db.conf", Content: []byte("db " + version), Mode: 0o600},
		{Name: "sub/empty", Mode: 0o644},
	}
}

func stage(t *testing.T, p generation.Place, version string) string {
	t.Helper()
	dir, err := p.Stage(files(version), anyone)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestSwitch(t *testing.T) {
	parent := t.TempDir()
	link := filepath.Join(parent, "current")
	p := generation.At(link)
	if dir, err := p.Current(); dir != "" || err != nil {
		t.Errorf("Current of nothing = %q, %v, want none", dir, err)
	}
	one := stage(t, p, "one")
	if got := names(t, parent); !slices.Equal(got, []string{one}) || !strings.HasPrefix(one, generation.Prefix) {
		t.Errorf("after Stage = %q, want a generation alone", got)
	}
	if err := p.Switch(one); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"": 0o750, "app.conf": 0o640, "sub": 0o750, "sub/dir": 0o750, "sub/dir/db.conf": 0o600, "sub/empty": 0o644} {
		if info, err := os.Stat(filepath.Join(link, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %q = %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	two := stage(t, p, "two")
	if err := p.Switch(two); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(link, "sub/dir/db.conf")); string(b) != "db two" {
		t.Errorf("through the link = %q, %v, want db two", b, err)
	}
	if dir, err := p.Current(); dir != two || err != nil {
		t.Errorf("Current = %q, %v, want %q", dir, err, two)
	}
	stage(t, p, "left by a crash")
	other := generation.At(filepath.Join(parent, "current-other"))
	kept := stage(t, other, "of another link")
	if err := os.Symlink(two, filepath.Join(parent, two+".link")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Clean(one); n != 2 || err != nil {
		t.Errorf("Clean = %d, %v, want 2", n, err)
	}
	want := []string{one, two, kept, "current"}
	slices.Sort(want)
	if got := names(t, parent); !slices.Equal(got, want) {
		t.Errorf("after Clean = %q, want %q", got, want)
	}
	if err := p.Switch(one); err != nil {
		t.Fatal(err)
	}
	if content, err := p.Read(one, "app.conf", 100); string(content) != "app one" || err != nil {
		t.Errorf("Read = %q, %v, want app one", content, err)
	}
}

func TestHolds(t *testing.T) {
	parent := t.TempDir()
	p := generation.At(filepath.Join(parent, "current"))
	for name, change := range map[string]func(at string) error{
		"nothing":            nil,
		"content":            func(at string) error { return os.WriteFile(at+"/app.conf", []byte("app two"), 0) },
		"a mode":             func(at string) error { return os.Chmod(at+"/app.conf", 0o600) },
		"a directory's mode": func(at string) error { return os.Chmod(at+"/sub", 0o700) },
		"a file less":        func(at string) error { return os.Remove(at + "/sub/empty") },
		"a file more":        func(at string) error { return os.WriteFile(at+"/more", nil, 0o600) },
		"a directory more":   func(at string) error { return os.Mkdir(at+"/more", 0o750) },
		"a link": func(at string) error {
			if err := os.Rename(at+"/app.conf", filepath.Join(parent, "elsewhere")); err != nil {
				return err
			}
			return os.Symlink("../elsewhere", at+"/app.conf")
		},
	} {
		dir := stage(t, p, "one")
		if change != nil {
			if err := change(p.Path(dir)); err != nil {
				t.Fatal(err)
			}
		}
		if same, err := p.Holds(dir, files("one"), anyone); same != (change == nil) || err != nil {
			t.Errorf("Holds after a change of %s = %v, %v", name, same, err)
		}
	}
	if same, err := p.Holds("nothing", files("one"), anyone); same || err != nil {
		t.Errorf("Holds of nothing = %v, %v, want false", same, err)
	}
}

func TestOddPlaces(t *testing.T) {
	parent := t.TempDir()
	at := func(name string) string { return filepath.Join(parent, name) }
	for _, err := range []error{
		os.Mkdir(at("directory"), 0o700), os.WriteFile(at("file"), nil, 0o600),
		os.Mkdir(at("elsewhere"), 0o700), os.Symlink("elsewhere", at("link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"directory", "file"} {
		p := generation.At(at(name))
		if _, err := p.Stage(files("one"), anyone); err == nil || !strings.Contains(err.Error(), "no symbolic link") {
			t.Errorf("Stage over a %s = %v, want it refused", name, err)
		}
	}
	// A link that leads elsewhere is replaced, and what it led to left alone.
	p := generation.At(at("link"))
	if dir, err := p.Current(); dir != "" || err != nil {
		t.Errorf("Current of a foreign link = %q, %v, want none", dir, err)
	}
	if err := p.Switch(stage(t, p, "one")); err != nil {
		t.Fatal(err)
	}
	if got := names(t, at("elsewhere")); len(got) != 0 {
		t.Errorf("elsewhere = %q, want it untouched", got)
	}
	for _, dir := range []string{"elsewhere", "..", "nothing"} {
		if err := p.Switch(dir); err == nil {
			t.Errorf("Switch(%q) = nil, want it refused", dir)
		}
	}
	// What cannot be staged leaves nothing.
	if _, err := p.Stage([]generation.File{{Name: "a", Mode: 0o600}, {Name: "a/b", Mode: 0o600}}, anyone); err == nil {
		t.Error("Stage of a file in a file = nil, want an error")
	}
	if n, err := p.Clean(); n != 0 || err != nil {
		t.Errorf("Clean = %d, %v, want nothing left", n, err)
	}
	nowhere := generation.At(at("missing/link"))
	if n, err := nowhere.Clean(); n != 0 || err != nil {
		t.Errorf("Clean in a missing directory = %d, %v, want 0, nil", n, err)
	}
	if _, err := nowhere.Stage(files("one"), anyone); err == nil {
		t.Error("Stage in a missing directory = nil, want an error")
	}
}

// Two that keep the same link, against all advice, never leave it leading nowhere.
func TestTwoOfOneLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "current")
	p := generation.At(link)
	if err := p.Switch(stage(t, p, "one")); err != nil {
		t.Fatal(err)
	}
	staged, done := make(chan bool), make(chan bool)
	var other sync.WaitGroup
	other.Go(func() {
		for range staged {
			if _, err := p.Clean(); err != nil {
				t.Error(err)
			}
			done <- true
		}
	})
	switched := 0
	for range 100 {
		dir := stage(t, p, "one")
		staged <- true
		if p.Switch(dir) == nil {
			switched++
		}
		<-done
		if _, err := os.Stat(link); err != nil {
			t.Errorf("after %d switches the link leads nowhere: %v", switched, err)
			break
		}
	}
	close(staged)
	other.Wait()
	t.Logf("%d switches came through", switched)
}

// Who holds the directory delays a switch and does not prevent it.
func TestHeldDirectory(t *testing.T) {
	parent := t.TempDir()
	d, err := os.Open(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	p := generation.At(filepath.Join(parent, "current"))
	if err := p.Switch(stage(t, p, "one")); err != nil {
		t.Errorf("Switch in a directory that is held = %v, want nil", err)
	}
}
