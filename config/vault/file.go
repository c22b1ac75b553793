package vault

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/musterhq/muster/internal/atomicfile"
)

// maxFile bounds a key file, in bytes: some ten thousand keys.
const maxFile = 1 << 20

// File is the [Keeper] of a key file: lines of a name, white space, and 32
// random bytes in base64. The first key is the current one, the others only
// open what they sealed. Empty lines and those that begin with # say nothing.
//
// A file is read once. Where several servers share its keys, a new one is added
// to all of them as the last before it is moved to the front anywhere. One key
// is good for four billion seals, as its nonces are random.
type File struct {
	current string
	keys    map[string][]byte // by name
}

// head begins a new key file.
const head = `# Master keys of muster: NAME KEY, one in a line. The first one seals, all of them open.
# Without this file what was sealed is lost: keep a copy elsewhere. Give every server the same.
`

// OpenFile returns the vault of the key file path. A file that others than its
// owner may use is refused.
func OpenFile(path string) (*Vault, error) {
	text, _, err := read(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	f, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return New(f), nil
}

// Generate writes a new key file with one key, for its owner alone, and returns
// the name of the key. What is at path already stays: that is fs.ErrExist.
func Generate(path string) (id string, err error) {
	id, line := newKey()
	staged, err := atomicfile.Stage(path, []byte(head+line), atomicfile.Private, false)
	if err != nil {
		return "", err
	}
	// A link does not replace, as a rename would; the key is on disk by now.
	err = os.Link(staged.Path(), path)
	if err := errors.Join(err, staged.Discard()); err != nil {
		return "", fmt.Errorf("new key file: %w", err)
	}
	return id, syncDir(filepath.Dir(path))
}

// Rotate puts a new key before all others of the key file path and returns its
// name. Owner, mode, comments and the other keys stay.
func Rotate(path string) (id string, err error) {
	id, line := newKey()
	return id, rewrite(path, func(lines []string) ([]string, error) { return placeFirst(lines, line), nil })
}

// Add puts a new key behind all others of the key file path, so that it opens and
// does not seal yet, and returns its name.
func Add(path string) (id string, err error) {
	id, line := newKey()
	return id, rewrite(path, func(lines []string) ([]string, error) {
		if last := lines[len(lines)-1]; !strings.HasSuffix(last, "\n") {
			lines[len(lines)-1] = last + "\n"
		}
		return append(lines, line), nil
	})
}

// Use puts the key of a name before all others of the key file path. ErrUnknownKey
// when there is none.
func Use(path, id string) error {
	return rewrite(path, func(lines []string) ([]string, error) {
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(said([]byte(l))+" ", id+" ") })
		if at < 0 || id == "" {
			return nil, fmt.Errorf("%w %q", ErrUnknownKey, id)
		}
		line := strings.TrimSuffix(lines[at], "\n") + "\n"
		return placeFirst(slices.Delete(lines, at, at+1), line), nil
	})
}

// placeFirst puts a line before all that say something.
func placeFirst(lines []string, line string) []string {
	at := slices.IndexFunc(lines, func(l string) bool { return said([]byte(l)) != "" })
	if at < 0 {
		at = len(lines)
	}
	return slices.Insert(lines, at, line)
}

// rewrite changes the lines of a key file, whole or not at all.
func rewrite(path string, change func(lines []string) ([]string, error)) error {
	path, err := filepath.EvalSymlinks(path) // the file is replaced, not a link to it
	if err != nil {
		return err
	}
	text, info, err := read(path)
	if err != nil {
		return err
	}
	defer clear(text)
	if _, err := parse(text); err != nil {
		return fmt.Errorf("key file %s: %w", path, err)
	}
	lines, err := change(slices.Collect(strings.Lines(string(text))))
	if err != nil {
		return fmt.Errorf("key file %s: %w", path, err)
	}
	perm := atomicfile.Perm{Mode: info.Mode().Perm(), UID: -1, GID: -1}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		perm.UID, perm.GID = int(owner.Uid), int(owner.Gid)
	}
	if err := atomicfile.Write(path, []byte(strings.Join(lines, "")), perm); err != nil {
		return fmt.Errorf("rewrite key file: %w", err)
	}
	return nil
}

// Wrap encrypts key under the current master key.
func (f *File) Wrap(key, aad []byte) (id string, wrapped []byte, err error) {
	box, err := gcm(f.keys[f.current])
	if err != nil {
		return "", nil, err
	}
	return f.current, box.Seal(nil, nil, key, bound([]byte(f.current), aad)), nil
}

// Unwrap decrypts what Wrap returned, under the master key called id.
func (f *File) Unwrap(id string, wrapped, aad []byte) ([]byte, error) {
	master, ok := f.keys[id]
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknownKey, id)
	}
	return unbox(master, wrapped, bound([]byte(id), aad))
}

// read returns the text of a key file that is its owner's alone. What it says
// of the file holds for what was read, whatever becomes of the path meanwhile.
func read(path string) (text []byte, info fs.FileInfo, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe is not waited for
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, nil, fmt.Errorf("key file %s is no regular file", path)
	case mode.Perm()&^0o600 != 0:
		return nil, nil, fmt.Errorf("key file %s has mode %04o: others than its owner may use it, want 0600", path, mode.Perm())
	}
	text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("key file %s is over %d bytes", path, maxFile)
	}
	return text, info, err
}

// parse reads the text of a key file. Its errors name lines, never what is in them.
func parse(text []byte) (*File, error) {
	f := &File{keys: make(map[string][]byte)}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := said(lines.Bytes())
		if line == "" {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 2 || !idForm.MatchString(fields[0]) {
			return nil, fmt.Errorf("line %d: want a name of letters, digits and _ . - and a key", n)
		}
		id := fields[0]
		key, err := base64.StdEncoding.Strict().DecodeString(fields[1])
		if err != nil || len(key) != keySize {
			return nil, fmt.Errorf("line %d: the key is not %d bytes in base64", n, keySize)
		}
		if _, twice := f.keys[id]; twice {
			return nil, fmt.Errorf("line %d: its name stands there twice", n)
		}
		if f.keys[id] = key; f.current == "" {
			f.current = id
		}
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("a line is too long")
	}
	if f.current == "" {
		return nil, errors.New("there is no key in it")
	}
	return f, nil
}

// said returns what a line says: nothing, if it is empty or a comment.
func said(line []byte) string {
	s := strings.TrimSpace(string(line))
	if strings.HasPrefix(s, "#") {
		return ""
	}
	return s
}

// newKey returns the name of a new key and its line.
func newKey() (id, line string) {
	key := make([]byte, keySize)
	defer clear(key)
	_, _ = rand.Read(key) // never fails
	id = strings.ToLower(rand.Text()[:12])
	return id, id + " " + base64.StdEncoding.EncodeToString(key) + "\n"
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
