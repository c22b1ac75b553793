package hostdns

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"

	"github.com/musterhq/muster/internal/atomicfile"
)

// record is what is kept of a file from before it was changed here.
type record struct {
	How     string      `json:"how"`
	Path    string      `json:"path"` // from the root
	Wrote   string      `json:"wrote"`
	Existed bool        `json:"existed"`
	Link    string      `json:"link,omitempty"`
	Mode    fs.FileMode `json:"mode"`
	UID     int         `json:"uid"`
	GID     int         `json:"gid"`
	Content []byte      `json:"content,omitempty"`
	SHA256  string      `json:"sha256"`         // of the content
	Made    string      `json:"made,omitempty"` // a directory that was made for the file
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// record returns what is kept, nil when nothing is. One that is damaged is an
// error: what it says would be put in place of a file that a host needs.
func (h *host) record() (*record, error) {
	f, err := h.stat(pathRecord)
	if err != nil || !f.there {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(f.content, &r); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", h.at(pathRecord), err)
	}
	if digest(r.Content) != r.SHA256 || r.Path != pathResolvConf && r.Path != pathDropIn {
		return nil, fmt.Errorf("%s is damaged", h.at(pathRecord))
	}
	return &r, nil
}

// former returns the file as it was.
func (r *record) former() file {
	f := file{there: r.Existed, link: r.Link, content: r.Content, mode: r.Mode, uid: r.UID, gid: r.GID}
	if f.content == nil && f.there {
		f.content = []byte{}
	}
	return f
}

// wrote reports whether f is what was written here.
func (r *record) wrote(f file) bool { return f.link == "" && f.there && digest(f.content) == r.Wrote }

// perm returns who may use the file: it stays whose it was, and a new one is
// everybody's to read, as a resolver runs in every program.
func (f file) perm() atomicfile.Perm {
	if !f.there || f.link != "" {
		return atomicfile.Perm{Mode: 0o644, UID: -1, GID: -1}
	}
	return atomicfile.Perm{Mode: f.mode, UID: f.uid, GID: f.gid}
}

// install keeps former and writes content in its place. What is kept is written
// first: a crash in between leaves the file as it was, with a record that says
// so.
func (h *host) install(how, name string, former file, content []byte) error {
	r := record{How: how, Path: name, Wrote: digest(content), Existed: former.there, Link: former.link,
		Mode: former.mode, UID: former.uid, GID: former.gid, Content: former.content, SHA256: digest(former.content)}
	if dir := path.Dir(name); how == HowResolved {
		if _, err := h.root.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			r.Made = dir
		} else if before, err := h.record(); err == nil && before != nil {
			r.Made = before.Made
		}
		if err := h.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	kept, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := h.root.MkdirAll(path.Dir(pathRecord), 0o700); err != nil {
		return err
	}
	if err := h.write(pathRecord, append(kept, '\n'), atomicfile.Private); err != nil {
		return err
	}
	return h.write(name, content, former.perm())
}

// putBack restores the file and forgets what was kept of it.
func (h *host) putBack(r *record) (err error) {
	former := r.former()
	switch {
	case former.link != "":
		err = h.link(former.link, r.Path)
	case former.there:
		err = h.write(r.Path, former.content, former.perm())
	default:
		err = h.remove(r.Path)
		if err == nil && r.Made != "" {
			_ = h.root.Remove(r.Made) // unless somebody else has something in it
		}
	}
	if err != nil {
		return err
	}
	if err := h.remove(pathRecord); err != nil {
		return err
	}
	_ = h.root.Remove(path.Dir(pathRecord)) // likewise
	return nil
}

// link makes name a symbolic link in one step.
func (h *host) link(target, name string) error {
	temp := path.Join(path.Dir(name), atomicfile.Prefix+path.Base(name)+".link")
	if err := h.remove(temp); err != nil {
		return err
	}
	if err := h.root.Symlink(target, temp); err != nil {
		return err
	}
	if err := h.root.Rename(temp, name); err != nil {
		return errors.Join(h.mounted(name, err), h.remove(temp))
	}
	return atomicfile.SyncDir(h.root, path.Dir(name))
}

func (h *host) remove(name string) error {
	if err := h.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return h.mounted(name, err)
	}
	return nil
}

func (h *host) write(name string, content []byte, perm atomicfile.Perm) error {
	staged, err := atomicfile.StageIn(h.root, name, content, perm)
	if err != nil {
		return err
	}
	return h.mounted(name, staged.Commit())
}

// mounted explains what a container gives its resolv.conf: a mount, which cannot
// be replaced.
func (h *host) mounted(name string, err error) error {
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s is a mount, as in a container: have its runtime name the agent (docker run --dns, dnsConfig of a pod): %w", h.at(name), err)
	}
	return err
}
