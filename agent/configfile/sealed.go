package configfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/musterhq/muster/internal/atomicfile"
)

// A sealed file is a line with what it is and the SHA-256 of the rest, a line of
// JSON, and content as it is.
const seal = "muster 1 "

// maxSealed bounds what is read of one: a content that is put back, and its line.
const maxSealed = maxRead + 1<<20

// sealed returns the bytes of a sealed file.
func sealed(head, content []byte) []byte {
	rest := bytes.Join([][]byte{head, content}, []byte("\n"))
	sum := sha256.Sum256(rest)
	return append([]byte(seal+hex.EncodeToString(sum[:])+"\n"), rest...)
}

// writeSealed replaces a sealed file, for this process's user alone. The directory
// is made should it be missing.
func writeSealed(path string, head, content []byte) error {
	err := atomicfile.Write(path, sealed(head, content), atomicfile.Private)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, sealed(head, content), atomicfile.Private)
}

// errDamaged is met where a sealed file is not as it was written.
var errDamaged = errors.New("is damaged")

// unsealed returns what sealed was given, or errDamaged.
func unsealed(b []byte) (head, content []byte, err error) {
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	sum := sha256.Sum256(rest)
	if string(line) != seal+hex.EncodeToString(sum[:]) {
		return nil, nil, errDamaged
	}
	head, content, found := bytes.Cut(rest, []byte("\n"))
	if !found {
		return nil, nil, errDamaged
	}
	return head, content, nil
}

// broken ends the names of files that were set aside.
const broken = ".broken"

// maxBroken is how many of them are kept in one directory.
const maxBroken = 10

// setAside renames what cannot be used, so that somebody can look at it and
// nothing meets it again. Of many only the newest are kept.
func setAside(path string) error {
	dir, name := filepath.Dir(path), filepath.Base(path)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.RemoveAll(name + broken); err != nil {
		return err
	}
	if err := root.Rename(name, name+broken); err != nil {
		return err
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	var all []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), broken) {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range all[min(maxBroken, len(all)):] {
		if info.Name() == name+broken {
			continue // the one at hand, however old
		}
		if err := root.RemoveAll(info.Name()); err != nil {
			return err
		}
	}
	return nil
}

// readSealed returns the parts of the sealed file path, nothing where there is
// none. The error is errDamaged where something is there that none was written as.
func readSealed(path string) (head, content []byte, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file: %w", filepath.Base(path), errDamaged)
	}
	if err != nil {
		return nil, nil, err
	}
	b, err := atomicfile.Read(path, maxSealed)
	if err != nil || b == nil {
		return nil, nil, err
	}
	return unsealed(b)
}

// full reports whether err says that there is no room, or no right to write, for
// a while perhaps.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}
