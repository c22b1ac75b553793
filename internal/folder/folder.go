// Package folder keeps the files of a folder and the documents of a namespace in
// step: what changed on one side alone is taken over by the other, and what changed
// on both is a conflict that somebody decides.
//
// The folder remembers in .muster what both sides had in common last, which tells
// who changed what since. Nothing outside the folder is ever read or written, whatever
// links lie in it, and nothing is overwritten that was not looked at before.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/internal/dirlock"
)

// What callers branch on.
var (
	ErrConflict = errors.New("conflict")         // both sides changed
	ErrBehind   = errors.New("server is behind") // it shows less than the folder has seen
	ErrNotFound = errors.New("not found")        // of a Server: there is no such document
	ErrNoFolder = errors.New("not a folder of a namespace")
	ErrNoMatch  = errors.New("matches no document")
	ErrTooMany  = fmt.Errorf("at most %d documents, of %d MiB together, are published at once", atATime, atATimeBytes>>20)
)

// Server holds the documents of the folder's namespace.
type Server interface {
	// Heads returns all documents, without content, and the revision they stand at.
	Heads(ctx context.Context) (heads []Head, revision int64, err error)
	// Document returns one with its content, or an error that is ErrNotFound.
	Document(ctx context.Context, k Key) (Head, []byte, error)
	// Apply makes all changes or none. A change whose condition does not hold is an
	// error that is ErrConflict.
	Apply(ctx context.Context, changes []Change) (Applied, error)
}

// Applied is what became of changes.
type Applied struct {
	Heads    []Head // of what was published
	Revision int64  // that all of it was committed at
	Warnings []string
}

// Key names a document of the namespace.
type Key struct{ Group, DataID string }

// Head is what a server tells of a document.
type Head struct {
	Key Key
	MD5 string // of the content, never empty
	// Locked says why a file cannot take its place; empty when it can.
	Locked string
	Meta
}

// Meta is what a document has beside its content. It stands in no file: who
// publishes a file leaves it as it is on the server.
type Meta struct {
	Revision int64    `json:"revision,omitempty"` // of its last change
	Type     string   `json:"type,omitempty"`
	Desc     string   `json:"desc,omitempty"`
	App      string   `json:"app,omitempty"`
	Tags     []string `json:"tags,omitempty"`
}

// Change publishes or removes one document.
type Change struct {
	Key     Key
	Content []byte // nil removes it
	IfMD5   string // what must stand; empty: there must be none
	Meta
}

// Folder is a folder that belongs to a namespace. It is not safe for concurrent
// use; of several processes one at a time changes it.
type Folder struct {
	dir  string
	root *os.Root // of dir
	meta *os.Root // of what the folder remembers, in it
	state
}

// metaDir is where a folder keeps what it remembers.
const metaDir = ".muster"

// Origin says what a folder is a copy of.
type Origin struct {
	Servers   []string
	Namespace string
}

// Create makes dir a folder of a namespace, and dir itself when it is not there.
// What is in it already is taken for changes that the server has not seen.
func Create(dir string, of Origin) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, root: root, state: newState(of)}
	if _, err := root.Lstat(metaDir + "/" + stateFile); err == nil {
		return nil, errors.Join(fmt.Errorf("%s is a folder of a namespace already: %w", dir, fs.ErrExist), root.Close())
	}
	if err := f.setUp(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Folder) setUp() error {
	for _, dir := range []string{metaDir, metaDir + "/" + baseDir} {
		if err := f.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := f.openMeta(); err != nil {
		return err
	}
	release, err := f.lock()
	if err != nil {
		return err
	}
	defer release()
	return f.save()
}

// Open opens the folder dir.
func Open(dir string) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, root: root}
	if err := f.openMeta(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Find opens the folder that dir is in: dir, or the nearest one above it. It says to
// which server the files go, so that one that another user has put there is refused,
// as in a directory that all may write to: who means it opens it by name.
func Find(dir string) (*Folder, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for ; ; at = filepath.Dir(at) {
		f, err := Open(at)
		switch {
		case err == nil && !f.own():
			return nil, errors.Join(fmt.Errorf("%s is a folder of another user: name it to use it all the same", at), f.Close())
		case !errors.Is(err, ErrNoFolder):
			return f, err
		case at == filepath.Dir(at):
			return nil, fmt.Errorf("%s, or one above it: %w", dir, ErrNoFolder)
		}
	}
}

// own reports whether the folder is this user's.
func (f *Folder) own() bool {
	info, err := f.meta.Stat(".")
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(stat.Uid) == os.Geteuid()
}

// openMeta opens the directory of what the folder remembers. A link would lead
// elsewhere, if only inside the folder.
func (f *Folder) openMeta() error {
	info, err := f.root.Lstat(metaDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", f.dir, ErrNoFolder)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", filepath.Join(f.dir, metaDir))
	}
	f.meta, err = f.root.OpenRoot(metaDir)
	return err
}

// lock takes the folder for this process.
func (f *Folder) lock() (release func(), err error) { return dirlock.TakeIn(f.meta) }

// take is lock, with what the last one who held the folder left.
func (f *Folder) take() (release func(), err error) {
	release, err = f.lock()
	if err != nil {
		return nil, err
	}
	if err := f.load(); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// Dir returns where the folder is.
func (f *Folder) Dir() string { return f.dir }

// Close ends the use of the folder.
func (f *Folder) Close() error {
	err := f.root.Close()
	if f.meta != nil {
		err = errors.Join(err, f.meta.Close())
	}
	return err
}

// Validate returns an error for a key that no document may have.
func (k Key) Validate() error {
	return config.Key{Namespace: config.DefaultNamespace, Group: k.Group, DataID: k.DataID}.Validate()
}
