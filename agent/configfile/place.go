package configfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/musterhq/muster/internal/atomicfile"
	"github.com/musterhq/muster/internal/generation"
)

// place is where a target puts its outputs: a file, or the directory that a
// link leads to.
type place interface {
	// clean removes what a crash left, and what no record speaks of.
	clean(r *record) (int, error)
	// stands reports whether set is in place, and whether anything is.
	stands(set []output) (same, there bool, err error)
	// restore gives what is in place its owner and mode.
	restore() error
	// former notes in r what is in place now, to go back to.
	former(r *record) error
	// stage writes set beside what is in place, under a name that r notes.
	stage(r *record, set []output, named bool) (staging, error)
	// complete makes so what r says is in place, or about to be.
	complete(r *record) error
	// turn makes r say that what was there before is to be in place again. It
	// reports false when nothing was.
	turn(r *record) bool
	// settle forgets in r what was there before: what is in place is good.
	settle(r *record)
	// remove takes away what is in place: its document was deleted.
	remove() error
	// read returns the content of an output that is in place, nil for none.
	read(name string) ([]byte, error)
}

// staging is what has been staged.
type staging interface {
	Path() string
	Commit() error
	Discard() error
}

// maxRead bounds what is read of a file in place.
const maxRead = 64 << 20

// onePlace is a file.
type onePlace struct{ file File }

// open opens the directory of the file; name is the file in it.
func (p onePlace) open() (dir *atomicfile.Dir, name string, err error) {
	dir, err = atomicfile.OpenDir(filepath.Dir(p.file.Path))
	return dir, filepath.Base(p.file.Path), err
}

func (p onePlace) clean(*record) (int, error) {
	dir, name, err := p.open()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	return dir.Clean(name)
}

func (p onePlace) stands(set []output) (same, there bool, err error) {
	same, old, err := p.holds(set[0].content)
	return same, old != nil, err
}

func (p onePlace) holds(content []byte) (same bool, old fs.FileInfo, err error) {
	dir, name, err := p.open()
	if err != nil {
		return false, nil, err
	}
	defer dir.Close()
	return dir.Holds(name, content)
}

// perm returns whose the file is to be. old is what stands, nil for nothing.
func (p onePlace) perm(dir *atomicfile.Dir, old fs.FileInfo) (atomicfile.Perm, error) {
	perm := atomicfile.Private
	if old != nil && old.Mode().IsRegular() && dir.Trusts(old) {
		perm.Mode, perm.Label = old.Mode().Perm(), true
		// Only root may give a file away, so only root can keep the owner.
		if stat, ok := old.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
			perm.UID, perm.GID = int(stat.Uid), int(stat.Gid)
		}
	}
	perm.Mode = p.file.Mode.or(perm.Mode)
	uid, gid, err := ids(p.file.Owner)
	if uid >= 0 {
		perm.UID = uid
	}
	if gid >= 0 {
		perm.GID = gid
	}
	return perm, err
}

// restore leaves the content of the file alone. One that has another name beside
// is written anew: what lies under that name is somebody else's.
func (p onePlace) restore() error {
	dir, name, err := p.open()
	if err != nil {
		return err
	}
	defer dir.Close()
	old, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	want, err := p.perm(dir, old)
	if err != nil {
		return err
	}
	stat, ok := old.Sys().(*syscall.Stat_t)
	given := ok && (want.UID >= 0 && int(stat.Uid) != want.UID || want.GID >= 0 && int(stat.Gid) != want.GID)
	switch {
	case !given && old.Mode().Perm() == want.Mode:
		return nil
	case atomicfile.Links(old) > 1 || !dir.Trusts(old):
		content, err := dir.Read(name, maxRead)
		if err != nil {
			return err
		}
		if len(content) == maxRead {
			return fmt.Errorf("%s has another owner or mode than it is to have, and %d bytes or more", p.file.Path, maxRead)
		}
		s, err := dir.Stage(name, content, want, false)
		if err != nil {
			return err
		}
		return s.Commit()
	case given:
		if err := dir.Lchown(name, want.UID, want.GID); err != nil {
			return err
		}
	}
	if now, err := dir.Lstat(name); err != nil || now.Mode().Perm() == want.Mode {
		return err
	}
	return dir.Chmod(name, want.Mode)
}

func (p onePlace) former(r *record) (err error) {
	r.HasOld, r.old = false, nil
	if !p.file.Rollback {
		return nil
	}
	r.old, err = p.read("")
	if len(r.old) == maxRead {
		return fmt.Errorf("%s has %d bytes or more, too many to be put back", p.file.Path, maxRead)
	}
	r.HasOld = r.old != nil
	return err
}

func (p onePlace) stage(_ *record, set []output, named bool) (staging, error) {
	return p.staged(set[0].content, named)
}

func (p onePlace) staged(content []byte, named bool) (staging, error) {
	dir, name, err := p.open()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	_, old, err := dir.Holds(name, nil)
	if err != nil {
		return nil, err
	}
	perm, err := p.perm(dir, old)
	if err != nil {
		return nil, err
	}
	s, err := dir.Stage(name, content, perm, named)
	if err != nil {
		return nil, err // not a staging that is nil inside
	}
	return s, nil
}

// complete goes on with going back, which a crash may have prevented. Where it
// prevented that the new content came into place, nothing is due.
func (p onePlace) complete(r *record) error {
	if r.back() {
		same, _, err := p.holds(r.old)
		if err != nil || same {
			return err
		}
		s, err := p.staged(r.old, false)
		if err != nil {
			return err
		}
		return s.Commit()
	}
	now, err := p.read("")
	if err == nil && (now == nil || digestOf([]output{{content: now}}) != r.Set) {
		r.Due = false
		p.settle(r)
	}
	return err
}

func (p onePlace) turn(r *record) bool {
	if r.HasOld {
		r.Set = digestOf([]output{{content: r.old}})
	}
	return r.HasOld
}

func (p onePlace) settle(r *record) { r.HasOld, r.old = false, nil }

func (p onePlace) read(string) ([]byte, error) {
	dir, name, err := p.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Read(name, maxRead)
}

// remove removes the file. That it is not there is no error.
func (p onePlace) remove() error {
	dir, name, err := p.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Remove(name)
}

// bundlePlace is a link that leads to a generation of files.
type bundlePlace struct {
	bundle Bundle
	generation.Place
}

func (p bundlePlace) perm() (generation.Perm, error) {
	uid, gid, err := ids(p.bundle.Owner)
	return generation.Perm{Dir: p.bundle.Mode.or(0o755), UID: uid, GID: gid}, err
}

func filesOf(set []output) []generation.File {
	all := make([]generation.File, 0, len(set))
	for _, o := range set {
		all = append(all, generation.File{Name: o.name, Content: o.content, Mode: o.mode})
	}
	return all
}

func (p bundlePlace) clean(r *record) (int, error) { return p.Clean(r.Dir, r.Good, r.Previous) }

func (p bundlePlace) stands(set []output) (same, there bool, err error) {
	dir, err := p.Current()
	if err != nil || dir == "" {
		return false, false, err
	}
	perm, err := p.perm()
	if err != nil {
		return false, true, err
	}
	same, err = p.Holds(dir, filesOf(set), perm)
	return same, true, err
}

// restore has nothing to do: with another owner or mode it would not stand.
func (p bundlePlace) restore() error { return nil }

func (p bundlePlace) former(r *record) (err error) {
	r.Good, err = p.Current()
	return err
}

func (p bundlePlace) stage(r *record, set []output, _ bool) (staging, error) {
	perm, err := p.perm()
	if err != nil {
		return nil, err
	}
	before, err := p.Current()
	if err != nil {
		return nil, err
	}
	dir, err := p.Stage(filesOf(set), perm)
	if err != nil {
		return nil, err
	}
	r.Dir, r.Previous = dir, before
	return stagedBundle{p.Place, dir}, nil
}

// complete goes on with a switch that a crash has prevented: what it leads to
// was staged and checked.
func (p bundlePlace) complete(r *record) error {
	dir, err := p.Current()
	if err != nil || dir == r.Dir {
		return err
	}
	if err := p.Switch(r.Dir); err != nil {
		r.Due = false // somebody removed it: there is nothing to go on with
		return fmt.Errorf("go on with a switch: %w", err)
	}
	return nil
}

func (p bundlePlace) turn(r *record) bool {
	if r.Good == "" || r.Good == r.Dir {
		return false
	}
	r.Dir, r.Previous, r.Set = r.Good, r.Dir, ""
	return true
}

// remove leaves everything: all documents of a bundle must exist.
func (p bundlePlace) remove() error { return nil }

func (p bundlePlace) settle(r *record) { r.Good = r.Dir }

func (p bundlePlace) read(name string) ([]byte, error) {
	dir, err := p.Current()
	if err != nil || dir == "" {
		return nil, err
	}
	return p.Read(dir, name, maxRead)
}

type stagedBundle struct {
	place generation.Place
	dir   string
}

func (s stagedBundle) Path() string   { return s.place.Path(s.dir) }
func (s stagedBundle) Commit() error  { return s.place.Switch(s.dir) }
func (s stagedBundle) Discard() error { return s.place.Discard(s.dir) }
