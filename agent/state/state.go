// Package state keeps what an agent must know after a restart: small records,
// each in a file of its own that is replaced whole, is for the agent's user
// alone and carries a checksum.
package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/musterhq/muster/internal/atomicfile"
)

// maxSize bounds a record that is read.
const maxSize = 64 << 20

// Aside is what is put behind the name of a file whose record cannot be used.
const Aside = ".broken"

// BrokenError says that a record cannot be used, and where it was put.
type BrokenError struct {
	Path string // where it is now
	Err  error  // why it cannot be used
}

func (e *BrokenError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }

// Unwrap returns why the record cannot be used.
func (e *BrokenError) Unwrap() error { return e.Err }

// sealed is a record as it lies on disk.
type sealed struct {
	Sum    string          `json:"sha256"` // of the compact record
	Record json.RawMessage `json:"record"`
}

// Write replaces the record in the file path.
func Write(path string, record any) error {
	b, err := json.Marshal(record)
	if err != nil {
		return err
	}
	b, err = json.MarshalIndent(sealed{sum(b), b}, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(b, '\n'), atomicfile.Private)
}

// Read reads the record of the file path into record, and reports whether there
// is one. What is no file that Write has written, whole, is put aside; the error
// is a [*BrokenError] then, and whoever has it goes on without. older reads what
// earlier versions wrote there in another form; nil means that none did.
func Read(path string, record any, older func(content []byte) error) (found bool, err error) {
	b, err := atomicfile.Read(path, maxSize)
	if err == nil && b == nil { // nothing is there, or what is no file
		if _, gone := os.Lstat(path); errors.Is(gone, fs.ErrNotExist) {
			return false, nil
		}
		err = errors.New("is no regular file")
	}
	if err == nil {
		err = open(b, record)
		if err != nil && older != nil {
			err = older(b)
		}
	}
	if err == nil {
		return true, nil
	}
	return false, errors.Join(&BrokenError{path + Aside, err}, os.Rename(path, path+Aside))
}

// Peek is Read for whoever may move nothing.
func Peek(path string, record any) (found bool, err error) {
	b, err := atomicfile.Read(path, maxSize)
	if err != nil || b == nil {
		return false, err
	}
	return true, open(b, record)
}

var errSum = errors.New("its checksum is not that of its content")

// open decodes what Write has written.
func open(b []byte, record any) error {
	var s sealed
	strict := json.NewDecoder(bytes.NewReader(b))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&s); err != nil {
		return err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, s.Record); err != nil {
		return errSum
	}
	if sum(compact.Bytes()) != s.Sum {
		return errSum
	}
	return json.Unmarshal(s.Record, record)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
