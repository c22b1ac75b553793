package configfile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
)

// record is what must be known of a target after a crash. It is written before
// each step that a crash must not leave half done; its target alone has it.
type record struct {
	Path     string            `json:"path"`
	Set      string            `json:"set,omitempty"`      // digest of what is in place, or about to be
	Due      bool              `json:"due,omitempty"`      // putting it in place and the reload are not done yet
	Rejected string            `json:"rejected,omitempty"` // digest of what was taken back
	Reason   string            `json:"reason,omitempty"`   // why
	More     string            `json:"more,omitempty"`     // what the command printed
	Stands   map[string]string `json:"stands,omitempty"`   // digests of the documents that last came through, by name
	Coming   map[string]string `json:"coming,omitempty"`   // and of those that are about to

	// Of a bundle, its generations: what the link leads to or is about to, the
	// last one that was reloaded well, and what it led to before.
	Dir      string `json:"dir,omitempty"`
	Good     string `json:"good,omitempty"`
	Previous string `json:"previous,omitempty"`

	// Of a file that can be taken back, what was there before.
	HasOld bool   `json:"hasOld,omitempty"`
	old    []byte // after the JSON, as it is
}

// back reports whether Due is about going back to what was there before.
func (r *record) back() bool { return r.Due && r.Rejected != "" }

// recordPrefix begins the names of records in the cache's directory.
const recordPrefix = "target-"

func recordName(path string) string { return recordPrefix + digest(path) }

// readRecord returns the record of path, an empty one when there is none. What is
// damaged is an error beside that, and set aside.
func readRecord(dir, path string) (record, error) {
	at := filepath.Join(dir, recordName(path))
	head, old, err := readSealed(at)
	if err == nil && head == nil {
		return record{Path: path}, nil
	}
	var r record
	if err == nil && (json.Unmarshal(head, &r) != nil || r.Path != path) {
		err = errDamaged
	}
	if errors.Is(err, errDamaged) {
		err = errors.Join(err, setAside(at))
	}
	if err != nil {
		return record{Path: path}, err
	}
	r.old = old
	return r, nil
}

func (r *record) write(dir string) error {
	head, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeSealed(filepath.Join(dir, recordName(r.Path)), head, r.old)
}

// output is one file as it is to be.
type output struct {
	name    string // in its bundle; empty for a file
	mode    fs.FileMode
	content []byte
	from    string // what it comes from, for people
}

// digestOf returns a text that another set of outputs does not have.
func digestOf(set []output) string {
	h := sha256.New()
	for _, o := range set {
		sum := sha256.Sum256(o.content)
		head, _ := json.Marshal([]any{o.name, o.mode}) // text and a number
		h.Write(head)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
