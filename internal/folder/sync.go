package folder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Choice settles conflicts. A path is that of a document, or of a group for all in
// it; "." is all.
type Choice struct {
	// Ours are those of which the folder's version stands.
	Ours []string
	// Theirs are those of which the server's version stands. Other changes of the
	// folder to what the server has are undone there too.
	Theirs []string
	// InParts allows to publish more than can be published at once, one part after
	// the other.
	InParts bool
	// DryRun changes nothing on either side.
	DryRun bool
}

// Result tells what a pull or a push did, or would do.
type Result struct {
	Folder    string     `json:"folder"`
	Namespace string     `json:"namespace"`
	Revision  int64      `json:"revision"`
	DryRun    bool       `json:"dryRun,omitempty"`
	Done      []Entry    `json:"done"`
	Conflicts []Conflict `json:"conflicts"`
	Left      []Entry    `json:"left"`               // what goes the other way
	Warnings  []string   `json:"warnings,omitempty"` // of the server, about what it published all the same
}

// Conflict is a document that changed on both sides.
type Conflict struct {
	Entry
	Difference
}

// Err returns an error that is ErrConflict when there are conflicts.
func (r *Result) Err() error {
	if len(r.Conflicts) == 0 {
		return nil
	}
	var paths []string
	for _, c := range r.Conflicts {
		paths = append(paths, c.Path)
	}
	return fmt.Errorf("changed here and on the server: %s: %w", list(paths), ErrConflict)
}

// list names a few of many.
func list(all []string) string {
	const few = 5
	if len(all) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:few], ", "), len(all)-few)
	}
	return strings.Join(all, ", ")
}

// covers reports whether one of the paths stands for the document at a path.
func covers(paths []string, at string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		p = strings.TrimSuffix(strings.TrimPrefix(p, "./"), "/")
		return p == "." || p == at || strings.HasPrefix(at, p+"/")
	})
}

// check finds paths that stand for nothing on either side: they are misspelt.
func (o Choice) check(f *Folder, c *Comparison) error {
	for _, p := range slices.Concat(o.Ours, o.Theirs) {
		one := []string{p}
		known := covers(one, ".") || slices.ContainsFunc(c.Entries, func(e Entry) bool { return covers(one, e.Path) })
		for at := range f.Documents {
			known = known || covers(one, at)
		}
		if !known {
			return fmt.Errorf("%q %w; a path is as `muster config status` shows it", p, ErrNoMatch)
		}
	}
	for _, e := range c.Entries {
		if covers(o.Ours, e.Path) && covers(o.Theirs, e.Path) {
			return fmt.Errorf("%s is to be both ours and theirs: %w", e.Path, ErrNoMatch)
		}
	}
	return nil
}

// session is one pull or push, while the folder is held.
type session struct {
	*Folder
	seen   *Comparison
	server Server
	choice Choice
	result *Result

	mu sync.Mutex // of the folder's state, while several work on it
}

// begin takes the folder and compares; end lets it go.
func (f *Folder) begin(ctx context.Context, server Server, o Choice) (s *session, end func(), err error) {
	release, err := f.take()
	if err != nil {
		return nil, nil, err
	}
	s = &session{Folder: f, server: server, choice: o}
	if s.seen, err = f.Compare(ctx, server); err == nil {
		err = o.check(f, s.seen)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	s.result = &Result{Folder: f.dir, Namespace: f.Namespace, Revision: s.seen.Revision, DryRun: o.DryRun,
		Done: []Entry{}, Conflicts: []Conflict{}, Left: []Entry{}}
	return s, release, nil
}

// conflict takes down an entry that somebody has to decide.
func (s *session) conflict(ctx context.Context, e Entry) error {
	d, err := s.Differ(ctx, s.server, e)
	if err == nil {
		s.result.Conflicts = append(s.result.Conflicts, Conflict{e, d})
	}
	return err
}

// remember takes down what both sides have of a document now.
func (s *session) remember(path string, content []byte, m Meta) error {
	if err := s.keep(content); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Documents[path] = synced{digest(content), m}
	return nil
}

// forget takes down that neither side has a document any more.
func (s *session) forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.Documents, path)
}

// settle remembers what both sides came to by themselves.
func (s *session) settle(e Entry) error {
	if e.here == "" {
		s.forget(e.Path)
		return nil
	}
	read := s.read(e.key())
	if read.md5 != e.here {
		return nil // it goes on changing: the next time
	}
	return s.remember(e.Path, read.content, s.seen.heads[e.key()].Meta)
}

// finish writes down what was done, all or in part, and removes what a crash left.
func (s *session) finish() error {
	for k, h := range s.seen.heads {
		if d, ok := s.Documents[k.Path()]; ok && d.MD5 == h.MD5 {
			s.Documents[k.Path()] = synced{h.MD5, h.Meta}
		}
	}
	s.Revision = max(s.Revision, s.result.Revision)
	var errs []error
	for _, at := range s.seen.staged {
		errs = append(errs, s.root.Remove(at))
	}
	return errors.Join(append(errs, s.save())...)
}
