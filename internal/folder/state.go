package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"

	"github.com/musterhq/muster/internal/atomicfile"
)

// stateFile is what a folder remembers, in metaDir.
const stateFile = "state.json"

// stateVersion changes when an older muster must not touch what a newer one wrote.
const stateVersion = 1

// state is what both sides of a folder had in common last.
type state struct {
	Version   int               `json:"version"`
	Servers   []string          `json:"servers"`
	Namespace string            `json:"namespace"`
	Revision  int64             `json:"revision"` // the newest that the folder has seen
	Documents map[string]synced `json:"documents"`
}

// synced is a document that both sides had, by its path.
type synced struct {
	MD5 string `json:"md5"`
	Meta
}

func newState(of Origin) state {
	return state{Version: stateVersion, Servers: of.Servers, Namespace: of.Namespace, Documents: map[string]synced{}}
}

// Origin returns what the folder is a copy of.
func (s *state) Origin() Origin { return Origin{s.Servers, s.Namespace} }

var isMD5 = regexp.MustCompile(`^[0-9a-f]{32}$`)

// parseState reads what a folder remembers. What is wrong there is an error: to
// guess who changed what could overwrite it.
func parseState(text []byte) (state, error) {
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, err
	}
	switch {
	case s.Version > stateVersion:
		return state{}, fmt.Errorf("it was written by a newer muster (version %d)", s.Version)
	case s.Version != stateVersion:
		return state{}, fmt.Errorf("version %d is none", s.Version)
	case s.Namespace == "":
		return state{}, errors.New("namespace is missing")
	case s.Revision < 0:
		return state{}, fmt.Errorf("revision %d is none", s.Revision)
	}
	if s.Documents == nil {
		s.Documents = map[string]synced{}
	}
	for path, d := range s.Documents {
		if _, err := KeyOf(path); err != nil {
			return state{}, fmt.Errorf("document %q: %w", path, err)
		}
		if !isMD5.MatchString(d.MD5) {
			return state{}, fmt.Errorf("document %q: %q is no MD5", path, d.MD5)
		}
	}
	return s, nil
}

func (s *state) text() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", " ")
	return append(text, '\n'), err
}

func (f *Folder) load() error {
	text, err := f.meta.ReadFile(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", f.dir, ErrNoFolder)
	}
	if err != nil {
		return err
	}
	if f.state, err = parseState(text); err != nil {
		return fmt.Errorf("%s: %w; clone anew beside it and compare", filepath.Join(f.dir, metaDir, stateFile), err)
	}
	return nil
}

// save writes what the folder remembers, last of all that is done to it.
func (f *Folder) save() error {
	text, err := f.text()
	if err != nil {
		return err
	}
	if err := atomicfile.WriteIn(f.meta, stateFile, text, atomicfile.Private); err != nil {
		return err
	}
	return f.tidy()
}
