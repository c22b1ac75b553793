package configfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/client"
)

// What becomes of a file whose document is deleted on the server.
const (
	OnDeleteKeep   = "keep"
	OnDeleteRemove = "remove"
)

// File is one file to keep, and where its content comes from: a document, or a
// template.
type File struct {
	DataID    string    `json:"data_id,omitempty" yaml:"data_id,omitempty"`
	Group     string    `json:"group,omitempty" yaml:"group,omitempty"`         // empty: DEFAULT_GROUP
	Namespace string    `json:"namespace,omitempty" yaml:"namespace,omitempty"` // empty: the agent's
	Template  *Template `json:"template,omitempty" yaml:"template,omitempty"`   // in place of data_id
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
	// Rollback puts the former content back when the reload fails.
	Rollback bool `json:"rollback,omitempty" yaml:"rollback,omitempty"`
	// Splay is the longest time that a change waits for this host's turn.
	Splay time.Duration `json:"splay,omitempty" yaml:"splay,omitempty"`
	// OnDelete is keep, also when empty, or remove.
	OnDelete string `json:"on_delete,omitempty" yaml:"on_delete,omitempty"`
}

// Bundle is several files that are switched as one: a symbolic link that leads
// to the directory that holds them.
type Bundle struct {
	// Path is the absolute path of the link. The directories lie beside it.
	Path  string       `json:"path" yaml:"path"`
	Files []BundleFile `json:"files" yaml:"files"`
	// Mode is the permission bits of the directories in octal; empty means 0755.
	Mode Mode `json:"mode,omitempty" yaml:"mode,omitempty"`
	// Owner of everything in them, as of a File; empty means the agent's user.
	Owner string `json:"owner,omitempty" yaml:"owner,omitempty"`
	// Check is as of a File; "{{ .Staged }}" stands for the new directory.
	Check []string `json:"check,omitempty" yaml:"check,omitempty"`
	// Reload is run after the switch. When it fails, the link leads back to the
	// former directory, and Reload is run again.
	Reload  []string      `json:"reload,omitempty" yaml:"reload,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty" yaml:"timeout,omitempty"` // as of a File
	Splay   time.Duration `json:"splay,omitempty" yaml:"splay,omitempty"`     // as of a File
}

// BundleFile is one file of a Bundle.
type BundleFile struct {
	// Name is the path below the directory, with slashes.
	Name      string    `json:"name" yaml:"name"`
	DataID    string    `json:"data_id,omitempty" yaml:"data_id,omitempty"`
	Group     string    `json:"group,omitempty" yaml:"group,omitempty"`
	Namespace string    `json:"namespace,omitempty" yaml:"namespace,omitempty"`
	Template  *Template `json:"template,omitempty" yaml:"template,omitempty"` // in place of data_id
	Mode      Mode      `json:"mode,omitempty" yaml:"mode,omitempty"`         // empty: 0600
}

// Template is where a template comes from, one of File, Text and DataID, and
// what it reads.
type Template struct {
	File      string `json:"file,omitempty" yaml:"file,omitempty"`       // absolute path
	Text      string `json:"text,omitempty" yaml:"text,omitempty"`       // the template itself
	DataID    string `json:"data_id,omitempty" yaml:"data_id,omitempty"` // a document
	Group     string `json:"group,omitempty" yaml:"group,omitempty"`
	Namespace string `json:"namespace,omitempty" yaml:"namespace,omitempty"`
	// Reads are documents that it looks up by names that it computes. Those that
	// it names in words are found in it.
	Reads []Reference `json:"reads,omitempty" yaml:"reads,omitempty"`
}

// Reference names a document.
type Reference struct {
	DataID    string `json:"data_id" yaml:"data_id"`
	Group     string `json:"group,omitempty" yaml:"group,omitempty"`
	Namespace string `json:"namespace,omitempty" yaml:"namespace,omitempty"`
}

// Bounds of a Bundle and of a Template.
const (
	maxBundle = 1000
	maxReads  = 1000
	maxSplay  = 24 * time.Hour
)

func (f File) validate() error {
	if err := origin(f.DataID, f.Template); err != nil {
		return err
	}
	if f.Path == "" {
		if f.Template != nil || f.Mode != "" || f.Owner != "" || len(f.Check) > 0 || len(f.Reload) > 0 || f.OnDelete != "" || f.Rollback || f.Splay != 0 {
			return errors.New("path is missing, and the rest of the entry speaks of a file")
		}
		return nil
	}
	if f.OnDelete != "" && f.OnDelete != OnDeleteKeep && f.OnDelete != OnDeleteRemove {
		return fmt.Errorf("on_delete %q is neither %s nor %s", f.OnDelete, OnDeleteKeep, OnDeleteRemove)
	}
	if f.OnDelete != "" && f.Template != nil {
		return errors.New("on_delete goes with a document, not with a template: a file stays while a document that it needs is missing")
	}
	if f.Rollback && len(f.Reload) == 0 {
		return errors.New("rollback goes with a reload")
	}
	if _, err := f.Mode.bits(); err != nil {
		return err
	}
	return action{f.Path, f.Owner, f.Check, f.Reload, f.Timeout, f.Splay}.validate()
}

func (b Bundle) validate() error {
	if _, err := b.Mode.bits(); err != nil {
		return err
	}
	if err := (action{b.Path, b.Owner, b.Check, b.Reload, b.Timeout, b.Splay}).validate(); err != nil {
		return err
	}
	if len(b.Files) == 0 || len(b.Files) > maxBundle {
		return fmt.Errorf("files: %d entries, want 1 to %d", len(b.Files), maxBundle)
	}
	taken := make(map[string]bool) // as file, or as a directory
	for i, f := range b.Files {
		if err := f.validate(); err != nil {
			return fmt.Errorf("files[%d] (%s): %w", i, f.Name, err)
		}
		if taken[f.Name] {
			return fmt.Errorf("files[%d]: %s is written by an earlier entry, or is its directory", i, f.Name)
		}
		taken[f.Name] = true
	}
	for i, f := range b.Files {
		for at := range len(f.Name) {
			if f.Name[at] == '/' && taken[f.Name[:at]] {
				return fmt.Errorf("files[%d]: %s lies in a file", i, f.Name)
			}
		}
	}
	return nil
}

func (f BundleFile) validate() error {
	if !fs.ValidPath(f.Name) || f.Name == "." || len(f.Name) > 1000 || strings.ContainsRune(f.Name, 0) {
		return fmt.Errorf("name %q is not the plain path of a file below the directory", f.Name)
	}
	if _, err := f.Mode.bits(); err != nil {
		return err
	}
	return origin(f.DataID, f.Template)
}

// origin checks where content comes from.
func origin(dataID string, t *Template) error {
	if t == nil {
		if dataID == "" {
			return errors.New("data_id is missing")
		}
		return nil
	}
	if dataID != "" {
		return errors.New("data_id and template are both there, one of them says where the content comes from")
	}
	n := 0
	for _, said := range []string{t.File, t.Text, t.DataID} {
		if said != "" {
			n++
		}
	}
	if n != 1 {
		return errors.New("template: one of file, text and data_id says where it is")
	}
	if t.File != "" && !plain(t.File) {
		return fmt.Errorf("template: file %q is not the absolute, plain path of a file", t.File)
	}
	if len(t.Reads) > maxReads {
		return fmt.Errorf("template: reads: %d entries, at most %d", len(t.Reads), maxReads)
	}
	for i, r := range t.Reads {
		if r.DataID == "" {
			return fmt.Errorf("template: reads[%d]: data_id is missing", i)
		}
	}
	return nil
}

// action is what a File and a Bundle have in common.
type action struct {
	path, owner    string
	check, reload  []string
	timeout, splay time.Duration
}

var staged = regexp.MustCompile(`\{\{\s*\.Staged\s*\}\}`)

func (a action) validate() error {
	if !plain(a.path) {
		return fmt.Errorf("path %q is not the absolute, plain path of a file", a.path)
	}
	if a.owner != "" && strings.Trim(a.owner, ":") == "" || strings.Count(a.owner, ":") > 1 {
		return fmt.Errorf("owner %q is not user, user:group or :group", a.owner)
	}
	if a.timeout < 0 || a.splay < 0 || a.splay > maxSplay {
		return fmt.Errorf("timeout %v or splay %v is negative, or longer than %v", a.timeout, a.splay, maxSplay)
	}
	if len(a.check) > 0 && a.check[0] == "" || len(a.reload) > 0 && a.reload[0] == "" {
		return errors.New("a command's first word is empty")
	}
	if len(a.check) > 0 && !slices.ContainsFunc(a.check, staged.MatchString) {
		return errors.New("check does not mention {{ .Staged }}, so it would check the old content")
	}
	return nil
}

// plain reports whether path is an absolute path without detours.
func plain(path string) bool {
	return filepath.IsAbs(path) && filepath.Clean(path) == path && path != "/"
}

// nameOf returns the document of that name; space is the namespace of those
// that name none.
func nameOf(dataID, group, namespace, space string) client.Name {
	if namespace == "" {
		namespace = space
	}
	return client.Name{Namespace: namespace, Group: group, Name: dataID}.WithDefaults()
}
