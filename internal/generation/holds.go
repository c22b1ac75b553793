package generation

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"syscall"

	"github.com/musterhq/muster/internal/atomicfile"
)

// Holds reports whether the generation dir is exactly these files with these
// owners and modes.
func (p Place) Holds(dir string, files []File, perm Perm) (bool, error) {
	root, err := atomicfile.OpenDir(p.dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	want := map[string]File{}
	dirs := map[string]bool{".": true}
	for _, f := range files {
		want[f.Name] = f
		for within := range parents(f.Name) {
			dirs[within] = true
		}
	}
	same := true
	err = fs.WalkDir(root.FS(), dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		below := "."
		if name != dir {
			below = name[len(dir)+1:]
		}
		f, wanted := want[below]
		switch {
		case info.IsDir():
			same = dirs[below] && owned(info, perm, perm.Dir)
		case !wanted || !info.Mode().IsRegular() || !owned(info, perm, f.Mode) || info.Size() != int64(len(f.Content)):
			same = false
		default:
			content, err := atomicfile.ReadIn(root.Root, path.Join(dir, below), int64(len(f.Content))+1)
			if err != nil {
				return err
			}
			same = bytes.Equal(content, f.Content)
		}
		delete(want, below)
		if !same {
			return fs.SkipAll
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return same && len(want) == 0, err
}

func owned(info fs.FileInfo, perm Perm, mode fs.FileMode) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode().Perm() == mode.Perm() &&
		(!ok || (perm.UID < 0 || int(stat.Uid) == perm.UID) && (perm.GID < 0 || int(stat.Gid) == perm.GID))
}

// Read returns the content of a file of the generation dir, nil when it is not
// there; at most most bytes of it.
func (p Place) Read(dir, name string, most int64) ([]byte, error) {
	root, err := atomicfile.OpenDir(p.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	content, err := atomicfile.ReadIn(root.Root, path.Join(dir, name), most)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
