package track_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/server/track"
)

// filled returns the path of a track of some pages, that is closed.
func filled(t *testing.T) string {
	t.Helper()
	w := newWorld(t, track.Config{})
	for i := range 1000 {
		w.Heard(poll(fmt.Sprintf("c%04d", i)), key("d"), sum("A"), time.Now())
	}
	w.stop()
	return w.cfg.Path
}

func TestDamagedFile(t *testing.T) {
	good, err := os.ReadFile(filled(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"cut off", func(b []byte) []byte { return b[:len(b)/2] }},
		{"cut off in its head", func(b []byte) []byte { return b[:100] }},
		{"no database", func([]byte) []byte { return bytes.Repeat([]byte("text "), 10_000) }},
		{"zeroes", func(b []byte) []byte { clear(b); return b }},
		{"zeroes behind its head", func(b []byte) []byte { clear(b[4*4096:]); return b }},
		{"noise behind its head", func(b []byte) []byte {
			r := rand.New(rand.NewPCG(1, 2))
			for i := 3 * 4096; i < len(b); i++ {
				b[i] = byte(r.Uint32())
			}
			return b
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "track.db")
				bad := c.damage(bytes.Clone(good))
				if err := os.WriteFile(path, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				w := newWorld(t, track.Config{Path: path})
				w.wantMetric("damaged_total", 1)
				if aside, err := os.ReadFile(path + ".damaged"); err != nil || !bytes.Equal(aside, bad) {
					t.Errorf("set aside: %d bytes, %v, want the %d that were there", len(aside), err, len(bad))
				}
				if n := strings.Count(w.log.String(), "damaged and begins anew"); n != 1 {
					t.Errorf("log = %s, want one line of it", w.log)
				}
				w.Heard(poll("c"), key("d"), sum("B"), at(0))
				w.stop()
				w.start()
				w.wantMetric("damaged_total", 0)
				w.wantHolders("d", "c poll held B since 0s seen 0s")
			})
		})
	}
}

func TestFileThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, path, want string }{
		{"no path", "", "a path is needed"},
		{"no directory", filepath.Join(dir, "none", "track.db"), "no such file"},
		{"a directory", dir, "is no file"},
	} {
		tr, err := track.Open(track.Config{Path: c.path})
		if tr != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%s) = %v, %v, want %q", c.name, tr, err, c.want)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the directory: %v", err)
	}
}

func TestFileInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		tr, err := track.Open(track.Config{Path: w.cfg.Path})
		if tr != nil || err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("Open(a file in use) = %v, %v, want a timeout", tr, err)
		}
	})
}

// A full disk stops nothing: all is in memory, is written when there is room, and
// the log says each once.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		w.Heard(poll("early"), key("d"), sum("A"), at(0))
		sleep(time.Second)
		w.limit(1)
		for i := range 2000 {
			w.Heard(poll(fmt.Sprintf("c%04d", i)), key("e"), sum("A"), at(1))
		}
		sleep(5 * time.Minute)
		if got := w.metric("failures_total"); got < 10 {
			t.Errorf("failures = %d, want one each half a minute", got)
		}
		w.wantMetric("pending", 2000)
		w.wantMetric("entries", 2001)
		if all, err := w.Holders(key("e")); len(all) != 2000 || err != nil {
			t.Errorf("holders = %d, %v, want 2000", len(all), err)
		}
		w.wantHolders("d", "early poll held A since 0s seen 0s")
		w.limit(0)
		sleep(time.Minute)
		w.wantMetric("pending", 0)
		sleep(5 * time.Minute)
		w.wantMetric("recent", 0)
		for _, line := range []string{"cannot be written", "written again"} {
			if n := strings.Count(w.log.String(), line); n != 1 {
				t.Errorf("log = %s, want one line of %q", w.log, line)
			}
		}
		w.stop()
		w.start()
		w.wantMetric("entries", 2001)
	})
}

func (w *world) limit(bytes int) {
	w.t.Helper()
	if err := w.LimitFile(bytes); err != nil {
		w.t.Fatal(err)
	}
}

// What could not be written for as long as anything is kept is forgotten too.
func TestFullDiskForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{Keep: time.Hour})
		w.limit(1)
		for i := range 2000 {
			w.Heard(poll(fmt.Sprintf("c%04d", i)), key("e"), sum("A"), at(1))
		}
		sleep(61 * time.Minute)
		w.wantMetric("entries", 0)
		w.wantMetric("recent", 0)
		w.wantMetric("pending", 0)
		w.wantHolders("e")
	})
}

// Damage that shows while the track is in use costs what is in the file, no more.
func TestDamageInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filled(t)
		w := newWorld(t, track.Config{Path: path})
		stat, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, int(stat.Size())-2*4096), 2*4096); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Holders(key("d")); err == nil {
			t.Error("Holders of a damaged file: no error")
		}
		w.Heard(poll("c"), key("d"), sum("B"), at(1))
		sleep(time.Minute)
		all, err := w.Holders(key("d"))
		if err == nil || words(all) != "c poll held B since 1s seen 1s" {
			t.Errorf("Holders = %s, %v, want an error and what is in memory", words(all), err)
		}
		w.stop()
		bad, err := os.ReadFile(path) // of which this process does not let go
		if err != nil {
			t.Fatal(err)
		}
		w.cfg.Path += "2"
		if err := os.WriteFile(w.cfg.Path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.wantMetric("damaged_total", 1)
	})
}
