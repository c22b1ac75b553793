package configfile

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/atomicfile"
)

// What becomes of a file whose document is deleted on the server.
const (
	OnDeleteKeep   = "keep"
	OnDeleteRemove = "remove"
)

// File is one document to keep, and the file to keep it in.
type File struct {
	DataID    string `json:"data_id" yaml:"data_id"`
	Group     string `json:"group,omitempty" yaml:"group,omitempty"`         // empty: DEFAULT_GROUP
	Namespace string `json:"namespace,omitempty" yaml:"namespace,omitempty"` // empty: the agent's
	// Path is the absolute path of the file; empty keeps the document for the
	// local API alone. A symbolic link there is replaced, not followed.
	Path string `json:"path,omitempty" yaml:"path,omitempty"`
	// Mode is the permission bits in octal; empty keeps those of an existing
	// file and gives a new one 0600.
	Mode Mode `json:"mode,omitempty" yaml:"mode,omitempty"`
	// Owner is user, user:group or :group, by name or number; empty keeps an
	// existing file's.
	Owner string `json:"owner,omitempty" yaml:"owner,omitempty"`
	// Check is a command, no shell, that must succeed before the file is
	// replaced; "{{ .Staged }}" in it stands for the path of the new content.
	Check []string `json:"check,omitempty" yaml:"check,omitempty"`
	// Reload is a command that is run after the file was replaced.
	Reload []string `json:"reload,omitempty" yaml:"reload,omitempty"`
	// Timeout of either command; 0 means 30 s.
	Timeout time.Duration `json:"timeout,omitempty" yaml:"timeout,omitempty"`
	// OnDelete is keep, also when empty, or remove.
	OnDelete string `json:"on_delete,omitempty" yaml:"on_delete,omitempty"`
}

func (f File) name() client.Name {
	return client.Name{Namespace: f.Namespace, Group: f.Group, Name: f.DataID}.WithDefaults()
}

var staged = regexp.MustCompile(`\{\{\s*\.Staged\s*\}\}`)

func (f File) validate() error {
	if f.DataID == "" {
		return fmt.Errorf("data_id is missing")
	}
	if f.Path == "" {
		if f.Mode != "" || f.Owner != "" || len(f.Check) > 0 || len(f.Reload) > 0 || f.OnDelete != "" {
			return fmt.Errorf("path is missing, and the rest of the entry speaks of a file")
		}
		return nil
	}
	if !filepath.IsAbs(f.Path) || filepath.Clean(f.Path) != f.Path || f.Path == "/" {
		return fmt.Errorf("path %q is not the absolute, plain path of a file", f.Path)
	}
	if _, err := f.mode(); err != nil {
		return err
	}
	if f.Owner != "" && strings.Trim(f.Owner, ":") == "" || strings.Count(f.Owner, ":") > 1 {
		return fmt.Errorf("owner %q is not user, user:group or :group", f.Owner)
	}
	if f.OnDelete != "" && f.OnDelete != OnDeleteKeep && f.OnDelete != OnDeleteRemove {
		return fmt.Errorf("on_delete %q is neither %s nor %s", f.OnDelete, OnDeleteKeep, OnDeleteRemove)
	}
	if f.Timeout < 0 {
		return fmt.Errorf("timeout %v is negative", f.Timeout)
	}
	if len(f.Check) > 0 && f.Check[0] == "" || len(f.Reload) > 0 && f.Reload[0] == "" {
		return fmt.Errorf("a command's first word is empty")
	}
	if len(f.Check) > 0 && !slices.ContainsFunc(f.Check, staged.MatchString) {
		return fmt.Errorf("check does not mention {{ .Staged }}, so it would check the old content")
	}
	return nil
}

// Mode is permission bits as they are written, octal. A settings file may say
// them as a number: 0640 is the same as "0640", and not what YAML makes of it.
type Mode string

// UnmarshalYAML takes the text as it stands in the file.
func (m *Mode) UnmarshalYAML(text []byte) error {
	*m = Mode(strings.Trim(strings.TrimSpace(string(text)), `"'`))
	return nil
}

// mode returns the permission bits, 0 when none are set.
func (f File) mode() (fs.FileMode, error) {
	if f.Mode == "" {
		return 0, nil
	}
	m, err := strconv.ParseUint(strings.TrimPrefix(string(f.Mode), "0o"), 8, 32)
	if err != nil || m == 0 || m > 0o777 {
		return 0, fmt.Errorf("mode %q is not octal permission bits such as \"0640\"", f.Mode)
	}
	return fs.FileMode(m), nil
}

// perm returns whose the file is to be. old is what stands, nil for nothing.
func (f File) perm(old fs.FileInfo) (atomicfile.Perm, error) {
	p := atomicfile.Private
	if old != nil && old.Mode().IsRegular() {
		p.Mode = old.Mode().Perm()
		// Only root may give a file away, so only root can keep the owner.
		if stat, ok := old.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
			p.UID, p.GID = int(stat.Uid), int(stat.Gid)
		}
	}
	if mode, err := f.mode(); err != nil {
		return p, err
	} else if mode != 0 {
		p.Mode = mode
	}
	owner, group, _ := strings.Cut(f.Owner, ":")
	var err error
	if owner != "" {
		if p.UID, err = id(owner, func() (string, error) {
			u, err := user.Lookup(owner)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}); err != nil {
			return p, fmt.Errorf("owner %q: %w", owner, err)
		}
	}
	if group != "" {
		if p.GID, err = id(group, func() (string, error) {
			g, err := user.LookupGroup(group)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		}); err != nil {
			return p, fmt.Errorf("group %q: %w", group, err)
		}
	}
	return p, nil
}

// id returns the number that text is, or else that lookup finds.
func id(text string, lookup func() (string, error)) (int, error) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return int(n), nil
	}
	found, err := lookup()
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(found)
}

// restore gives the file the mode and owner that the entry asks for, where
// they differ, and leaves its content alone.
func (f File) restore(old fs.FileInfo) error {
	want, err := f.perm(old)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(f.Path))
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Base(f.Path)
	stat, ok := old.Sys().(*syscall.Stat_t)
	if ok && (want.UID >= 0 && int(stat.Uid) != want.UID || want.GID >= 0 && int(stat.Gid) != want.GID) {
		if err := root.Lchown(name, want.UID, want.GID); err != nil {
			return err
		}
	}
	if old.Mode().Perm() != want.Mode {
		return root.Chmod(name, want.Mode)
	}
	return nil
}
