// Package generation switches a directory of files as one: whoever reads
// through a symbolic link gets all files of one generation, at every moment and
// after every crash.
//
// A generation is a directory beside the link, with a name of its own. It is
// staged there whole and flushed, and a switch renames a new link over the
// old one. All names are resolved below the link's directory (os.Root), so a
// link put there by somebody else leads nowhere.
package generation

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/musterhq/muster/internal/atomicfile"
)

// Prefix begins the name of every generation.
const Prefix = "..muster-"

// linkSuffix ends the name of a link that is about to be renamed.
const linkSuffix = ".link"

// File is one file of a generation.
type File struct {
	Name    string // relative, with slashes
	Content []byte
	Mode    fs.FileMode // permission bits
}

// Perm says who may use a generation.
type Perm struct {
	Dir      fs.FileMode // permission bits of its directories
	UID, GID int         // of everything in it; -1 leaves it to the process
}

// Place is where the generations of one link lie.
type Place struct {
	dir, link, prefix string
}

// At returns the place of the link path. It touches nothing.
func At(path string) Place {
	dir, link := filepath.Split(filepath.Clean(path))
	// A digest of the name, not the name: one name may begin another, and it may
	// be as long as a name can be.
	sum := sha256.Sum256([]byte(link))
	return Place{dir: filepath.Clean(dir + "."), link: link, prefix: Prefix + hex.EncodeToString(sum[:6]) + "-"}
}

// Path returns where the generation dir is.
func (p Place) Path(dir string) string { return filepath.Join(p.dir, dir) }

// Stage writes a generation, complete and flushed, and returns its name. On
// error nothing is left of it.
func (p Place) Stage(files []File, perm Perm) (dir string, err error) {
	root, err := atomicfile.OpenDir(p.dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := p.replaceable(root); err != nil {
		return "", err
	}
	before, err := p.current(root)
	if err != nil {
		return "", err
	}
	dir = p.prefix + rand.Text()[:10]
	if err = stage(root, before, dir, files, perm); err == nil {
		err = atomicfile.SyncDir(root.Root, ".")
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("stage %s: %w", p.Path(dir), err), root.RemoveAll(dir))
	}
	return dir, nil
}

// Discard removes the generation dir.
func (p Place) Discard(dir string) error {
	root, err := atomicfile.OpenDir(p.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if !p.ours(dir) {
		return fmt.Errorf("%s is no generation of %s", dir, filepath.Join(p.dir, p.link))
	}
	return root.RemoveAll(dir)
}

// stage writes files below dir. Nobody but this process gets into it before all
// of it is there, with its owners and modes. What has the same name in before, the
// generation that stands, hands on its label and access list.
func stage(root *atomicfile.Dir, before, dir string, files []File, perm Perm) error {
	if err := root.Mkdir(dir, 0o700); err != nil {
		return err
	}
	dirs := []string{dir}
	for _, f := range files {
		for within := range parents(f.Name) {
			if err := root.Mkdir(path.Join(dir, within), 0o700); err == nil {
				dirs = append(dirs, path.Join(dir, within))
			} else if !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		if err := write(root, before, dir, f, perm); err != nil {
			return err
		}
	}
	for _, d := range slices.Backward(dirs) { // the outermost last
		if err := keepLabel(root, before+strings.TrimPrefix(d, dir), d); err != nil {
			return err
		}
		if err := own(root, d, perm, perm.Dir); err != nil {
			return err
		}
		if err := atomicfile.SyncDir(root.Root, d); err != nil {
			return err
		}
	}
	return nil
}

// parents yields the directories that the file name lies in, outermost first.
func parents(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(name) {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}

// keepLabel gives the directory to what the directory from has, if there is one.
func keepLabel(root *atomicfile.Dir, from, to string) error {
	if from == "" || from[0] == '/' {
		return nil // there was no generation before
	}
	info, err := root.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	old, err := root.Open(from)
	if err != nil {
		return err
	}
	defer old.Close()
	made, err := root.Open(to)
	if err != nil {
		return err
	}
	return errors.Join(atomicfile.KeepLabel(old, made), made.Close())
}

func write(root *atomicfile.Dir, before, dir string, f File, perm Perm) (err error) {
	name := path.Join(dir, f.Name)
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	if before != "" {
		if err := atomicfile.KeepLabelOf(root.Root, path.Join(before, f.Name), file); err != nil {
			return err
		}
	}
	if _, err := file.Write(f.Content); err != nil {
		return err
	}
	if err := own(root, name, perm, f.Mode); err != nil {
		return err
	}
	return file.Sync()
}

// own gives a file or directory its owner, and after it its mode, of which a
// change of owner may clear bits.
func own(root *atomicfile.Dir, name string, perm Perm, mode fs.FileMode) error {
	if perm.UID >= 0 || perm.GID >= 0 {
		if err := root.Lchown(name, perm.UID, perm.GID); err != nil {
			return err
		}
	}
	return root.Chmod(name, mode.Perm())
}

// replaceable returns an error when something is at the link's place that is
// no link.
func (p Place) replaceable(root *atomicfile.Dir) error {
	info, err := root.Lstat(p.link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSymlink:
		return fmt.Errorf("%s is no symbolic link: move it away", filepath.Join(p.dir, p.link))
	}
	return nil
}

// Current returns the generation that the link leads to, empty when it leads to
// none of this place.
func (p Place) Current() (dir string, err error) {
	root, err := atomicfile.OpenDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer root.Close()
	return p.current(root)
}

func (p Place) current(root *atomicfile.Dir) (string, error) {
	info, err := root.Lstat(p.link)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Type() != fs.ModeSymlink {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	dir, err := root.Readlink(p.link)
	if err != nil || !p.ours(dir) {
		return "", err
	}
	if info, err = root.Lstat(dir); err != nil || !info.IsDir() {
		return "", nil // it leads nowhere
	}
	return dir, nil
}

// ours reports whether dir may be the name of a generation of this place.
func (p Place) ours(dir string) bool {
	return strings.HasPrefix(dir, p.prefix) && !strings.Contains(dir, "/")
}

// Switch makes the link lead to the generation dir.
func (p Place) Switch(dir string) error {
	root, err := atomicfile.OpenDir(p.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := p.replaceable(root); err != nil {
		return err
	}
	release, err := turn(root)
	if err != nil {
		return err
	}
	defer release()
	if info, err := root.Lstat(dir); err != nil || !info.IsDir() || !p.ours(dir) {
		return fmt.Errorf("%s is no generation of %s", dir, filepath.Join(p.dir, p.link))
	}
	link := dir + linkSuffix
	if err := root.Root.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.Symlink(dir, link); err != nil {
		return err
	}
	if err := root.Rename(link, p.link); err != nil {
		return errors.Join(err, root.Root.Remove(link))
	}
	return atomicfile.SyncDir(root.Root, ".")
}

// Clean removes every generation but the one that the link leads to and those
// to keep, and what a crash left. It returns how many things that were.
func (p Place) Clean(keep ...string) (n int, err error) {
	root, err := atomicfile.OpenDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer root.Close()
	release, err := turn(root)
	if err != nil {
		return 0, err
	}
	defer release()
	current, err := p.current(root)
	if err != nil {
		return 0, err
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return 0, err
	}
	kept := map[string]bool{current: true}
	for _, dir := range keep {
		kept[dir] = true
	}
	for _, e := range entries {
		if !p.ours(e.Name()) || kept[e.Name()] {
			continue
		}
		if err := root.RemoveAll(e.Name()); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
