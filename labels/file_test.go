package labels_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/internal/atomicfile"
	"github.com/musterhq/muster/labels"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path, content string) {
	t.Helper()
	if err := atomicfile.Write(path, []byte(content), atomicfile.Private); err != nil {
		t.Fatal(err)
	}
}

func newSource(t *testing.T, c labels.Config) *labels.Source {
	t.Helper()
	s, err := labels.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// zone returns the zone of 10.1.2.3.
func zone(s *labels.Source) string {
	return s.Current().Of(netip.MustParseAddr("10.1.2.3"))["zone"]
}

// inZone is a table in CSV that has 10.1.2.3 in a zone.
func inZone(zone string) string { return "address,zone\n10.1.2.3," + zone + "\n" }

// TestFile follows a file over all that is done to it. What is changed in place is
// read when it was still for one look.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "labels.csv")
		s := newSource(t, labels.Config{File: path})
		go func() { _ = s.Run(t.Context()) }()
		elsewhere := path + ".away"
		for _, c := range []struct {
			name    string
			do      func()
			looks   int
			zone    string
			entries int
			failing string
		}{
			{"a file that is not there", func() {}, 1, "", 0, "no such file"},
			{"that comes", func() { write(t, path, inZone("a")) }, 1, "a", 1, ""},
			{"that is replaced by a rename", func() { replace(t, path, inZone("b")+"10.0.0.9,c\n") }, 1, "b", 2, ""},
			{"that is cut to nothing to be written anew", func() { write(t, path, "") }, 1, "b", 2, ""},
			{"that stays empty", func() {}, 1, "b", 2, "is empty"},
			{"that is written to the half", func() { write(t, path, inZone("c")+"10.0.0.9") }, 2, "b", 2, "line 3: wrong number of fields"},
			{"that is written to the end", func() { write(t, path, inZone("cc")+"10.0.0.9,c\n") }, 2, "cc", 2, ""},
			{"that is deleted", func() { _ = os.Remove(path) }, 1, "cc", 2, "no such file"},
			{"that is away for long", func() {}, 1000, "cc", 2, "no such file"},
			{"that comes back with an error", func() { replace(t, path, inZone("d")+"10.1.2.3,e\n") }, 2, "cc", 2, `line 3: "10.1.2.3" is given twice`},
			{"that is mended", func() { replace(t, path, inZone("d")) }, 1, "d", 1, ""},
			{"that is moved away", func() { _ = os.Rename(path, elsewhere) }, 1, "d", 1, "no such file"},
			{"that is moved back", func() { _ = os.Rename(elsewhere, path) }, 1, "d", 1, ""},
			{"that is a directory now", func() { _ = os.Remove(path); _ = os.Mkdir(path, 0o700) }, 2, "d", 1, "not a regular file"},
			{"that is a pipe now", func() { _ = os.Remove(path); _ = syscall.Mkfifo(path, 0o600) }, 2, "d", 1, "not a regular file"},
			{"that is a link now", func() { _ = os.Remove(path); write(t, elsewhere, inZone("link")); _ = os.Symlink(elsewhere, path) }, 2, "link", 1, ""},
			{"whose target is written anew", func() { write(t, elsewhere, inZone("e")) }, 2, "e", 1, ""},
		} {
			synctest.Wait()
			c.do()
			time.Sleep(time.Duration(c.looks) * labels.DefaultFileInterval)
			synctest.Wait()
			st := s.Status()
			if got := zone(s); got != c.zone || st.Entries != c.entries {
				t.Errorf("%s: zone = %q of %d entries, want %q of %d", c.name, got, st.Entries, c.zone, c.entries)
			}
			if (st.Failing == "") != (c.failing == "") || !strings.Contains(st.Failing, c.failing) {
				t.Errorf("%s: Failing = %q, want %q", c.name, st.Failing, c.failing)
			}
		}
	})
}

// What does not change is the same table, and not read again.
func TestFileThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "labels")
		write(t, path, inZone("a"))
		s := newSource(t, labels.Config{File: path, Interval: time.Second})
		go func() { _ = s.Run(t.Context()) }()
		synctest.Wait()
		first, changed := s.Current(), s.Changed()
		if first.Revision() != 1 {
			t.Errorf("Revision() = %d, want 1", first.Revision())
		}
		time.Sleep(time.Minute + time.Second/2)
		if age := s.Status().Age(time.Now()); age != time.Second/2 {
			t.Errorf("age = %v, want that of the last look", age)
		}
		replace(t, path, inZone("a"))
		time.Sleep(2 * time.Second)
		if s.Current() != first {
			t.Error("the same content makes another table")
		}
		select {
		case <-changed:
			t.Error("Changed() tells of a change where there is none")
		default:
		}
		replace(t, path, inZone("b"))
		<-changed
		if got := zone(s); got != "b" || s.Current().Revision() != 2 {
			t.Errorf("zone = %q at revision %d, want b at 2", got, s.Current().Revision())
		}
		_ = os.Remove(path)
		time.Sleep(time.Minute)
		if age := s.Status().Age(time.Now()); age < time.Minute-2*time.Second {
			t.Errorf("age = %v, want it to grow while the file is gone", age)
		}
	})
}

// Each error is logged once until all is well again.
func TestErrorsAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "labels.json")
	s := newSource(t, labels.Config{File: path, MaxBytes: 100, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, c := range []struct {
		name, content string // - is no file
		says          string
	}{
		{"no file", "-", `level=ERROR .*no such file`},
		{"still none", "-", ""},
		{"a bad one", "[1]", `level=ERROR .*an entry is not an object`},
		{"the same bad one", "[1]", ""},
		{"none again", "-", ""},
		{"one that is too long", "[" + strings.Repeat(" ", 200) + "]", `longer than 100 bytes`},
		{"a good one", `{"db":{"zone":"a"}}`, "labels are read again"},
		{"none, anew", "-", "no such file"},
	} {
		log.Reset()
		if c.content == "-" {
			_ = os.Remove(path)
		} else {
			replace(t, path, c.content)
		}
		for range 3 {
			s.Look(t.Context())
		}
		wanted := strings.SplitN(c.says, " .*", 2)
		if c.says == "" && log.Len() > 0 || strings.Count(log.String(), wanted[len(wanted)-1]) > 1 && c.says != "" {
			t.Errorf("%s: logged\n%s", c.name, log.String())
		}
		for _, w := range wanted {
			if !strings.Contains(log.String(), w) {
				t.Errorf("%s: logged\n%s, want %q", c.name, log.String(), w)
			}
		}
	}
}
