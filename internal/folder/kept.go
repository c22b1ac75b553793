package folder

import (
	"crypto/md5" //nolint:gosec // what servers tell of contents, not a defence
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"

	"github.com/musterhq/muster/internal/atomicfile"
)

// baseDir holds the contents that both sides had in common last, in metaDir, each
// under its MD5. They serve to show who changed what; that something changed, the
// state alone tells. So they are not flushed, and one that is broken is not there.
const baseDir = "base"

func (f *Folder) keep(content []byte) error {
	name := baseDir + "/" + digest(content)
	if held, err := f.meta.ReadFile(name); err == nil && string(held) == string(content) {
		return nil
	}
	return f.meta.WriteFile(name, content, 0o600)
}

// base returns the content with an MD5, nil when it is not held any more.
func (f *Folder) base(md5 string) []byte {
	if md5 == "" {
		return nil
	}
	content, err := f.meta.ReadFile(baseDir + "/" + md5)
	if err != nil || digest(content) != md5 {
		return nil
	}
	return content
}

// tidy removes contents that no document had last, and what a crash left.
func (f *Folder) tidy() error {
	used := make(map[string]bool, len(f.Documents))
	for _, d := range f.Documents {
		used[d.MD5] = true
	}
	for _, dir := range []string{".", baseDir} {
		entries, err := fs.ReadDir(f.meta.FS(), dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			if dir == baseDir && isMD5.MatchString(name) && !used[name] || strings.HasPrefix(name, atomicfile.Prefix) {
				if err := f.meta.Remove(dir + "/" + name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func digest(content []byte) string {
	sum := md5.Sum(content) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}
