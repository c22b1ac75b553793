package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/internal/atomicfile"
	"github.com/musterhq/muster/internal/filename"
)

// file is what lies where a document belongs.
type file struct {
	md5     string // unreadable when there is a fault, empty when nothing lies there
	fault   string // why it is no document
	content []byte
}

// unreadable is the MD5 of what is no document: it is unlike all others, so that
// nothing is lost by taking it for a change.
const unreadable = "unreadable"

const (
	isLink = "is a symbolic link, which is not followed"
	isDir  = "is a directory, where a document would lie"
)

func faulty(format string, args ...any) file {
	return file{md5: unreadable, fault: fmt.Sprintf(format, args...)}
}

// Note tells of something in a folder that is no document.
type Note struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// noteOf tells of what has any name, which may be made to play with a terminal.
func noteOf(at, text string) Note {
	if quoted := strconv.Quote(at); quoted != `"`+at+`"` {
		at = quoted
	}
	return Note{at, text}
}

// survey is what lies in a folder.
type survey struct {
	files  map[Key]file // without their contents
	faults []Note       // who put them there may have wanted documents
	spare  []Note       // beside the groups, where anything may lie
	staged []string     // left by a crash
}

// look goes through the folder. Hidden files, and what editors keep beside the file
// that is edited, are passed over.
func (f *Folder) look() (survey, error) {
	s := survey{files: map[Key]file{}}
	err := fs.WalkDir(f.root.FS(), ".", func(at string, e fs.DirEntry, err error) error {
		name := path.Base(at)
		switch {
		case err != nil:
			return err
		case at == ".":
		case strings.HasPrefix(name, atomicfile.Prefix) && e.Type().IsRegular():
			s.staged = append(s.staged, at)
		case passedOver(name) && e.IsDir():
			return fs.SkipDir
		case passedOver(name):
		case e.IsDir():
			return s.enter(at)
		default:
			s.add(at, e, f)
		}
		return nil
	})
	return s, err
}

func passedOver(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#")
}

// enter decides whether a directory may hold documents: it is a group, or part of a
// name that goes on.
func (s *survey) enter(dir string) error {
	whole := 0
	for part := range strings.SplitSeq(dir, "/") {
		if !strings.HasSuffix(part, filename.Onward) {
			whole++
		}
	}
	if whole < 2 {
		return nil
	}
	if k, err := KeyOf(dir); err == nil {
		s.files[k] = faulty(isDir) // else the document would seem to be removed
	} else {
		s.faults = append(s.faults, noteOf(dir, isDir))
	}
	return fs.SkipDir
}

func (s *survey) add(at string, e fs.DirEntry, f *Folder) {
	k, err := KeyOf(at)
	switch {
	case err == nil:
		if read := f.read(k); read.md5 != "" { // else it was removed just now
			read.content = nil
			s.files[k] = read
		}
	case e.Type().IsRegular() && !strings.Contains(at, "/"):
		s.spare = append(s.spare, noteOf(at, "lies in no group's directory"))
	case e.Type() == fs.ModeSymlink:
		s.faults = append(s.faults, noteOf(at, isLink))
	default:
		s.faults = append(s.faults, noteOf(at, err.Error()))
	}
}

// read returns what lies where a document belongs.
func (f *Folder) read(k Key) file {
	at := k.Path()
	info, err := f.root.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return file{}
	case err != nil:
		return faulty("%s", reason(err))
	case info.Mode().Type() == fs.ModeSymlink:
		return faulty(isLink)
	case info.IsDir():
		return faulty(isDir)
	case !info.Mode().IsRegular():
		return faulty("is no regular file")
	case info.Size() > config.MaxContent:
		return faulty("is %d bytes long, over %d", info.Size(), config.MaxContent)
	}
	content, err := atomicfile.ReadIn(f.root, at, config.MaxContent+1)
	switch {
	case err != nil:
		return faulty("%s", reason(err))
	case len(content) > config.MaxContent:
		return faulty("is over %d bytes long", config.MaxContent)
	case len(bytes.TrimSpace(content)) == 0:
		return faulty("is blank: a document has content, and to remove it is to remove the file")
	case !utf8.Valid(content):
		return faulty("is not valid UTF-8")
	}
	return file{md5: digest(content), content: content}
}

// errTouched says that a file is not as it was when it was compared.
var errTouched = errors.New("it was changed meanwhile and is left as it is; run again")

// write puts content where a document belongs, over what was there when it was
// compared and over nothing else.
func (f *Folder) write(k Key, content []byte, was string) error {
	at := k.Path()
	if err := f.plain(at, true); err != nil {
		return err
	}
	perm := atomicfile.Private
	if info, err := f.root.Lstat(at); err == nil && info.Mode().IsRegular() {
		perm.Mode = info.Mode()
	}
	staged, err := atomicfile.StageIn(f.root, at, content, perm)
	if err != nil {
		return err
	}
	if f.read(k).md5 != was {
		return errors.Join(errTouched, staged.Discard())
	}
	return staged.Commit()
}

// remove takes away the file of a document, and the directories that are empty then.
func (f *Folder) remove(k Key, was string) error {
	at := k.Path()
	if err := f.plain(at, false); err != nil {
		return err
	}
	if f.read(k).md5 != was {
		return errTouched
	}
	if err := atomicfile.RemoveIn(f.root, at); err != nil {
		return err
	}
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		if f.root.Remove(dir) != nil {
			return nil // there is something else in it
		}
	}
	return nil
}

// plain sees that the way to a file leads over directories alone, no links, and
// makes those that are missing if they are to be there.
func (f *Folder) plain(at string, fill bool) error {
	for i, c := range at {
		if c != '/' {
			continue
		}
		dir := at[:i]
		if fill {
			if err := f.root.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		info, err := f.root.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is no directory", dir)
		}
	}
	return nil
}

// reason returns what an error of the file system says beside the path.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
