package configfile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/atomicfile"
)

// cache is one sealed file for each document in a directory of its own. Without a
// directory it keeps nothing.
type cache struct {
	dir    string
	frozen bool // it is read alone
}

// entry is what the line of JSON says, and the content after it.
type entry struct {
	Namespace   string `json:"namespace"`
	Group       string `json:"group"`
	DataID      string `json:"dataId"`
	MD5         string `json:"md5,omitempty"`
	Type        string `json:"type,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	Revision    int64  `json:"revision,omitempty"`
	Release     string `json:"release,omitempty"`
	Deleted     bool   `json:"deleted,omitempty"`
	content     []byte
}

func cached(n client.Name, d client.Document, deleted bool) entry {
	return entry{
		Namespace: n.Namespace, Group: n.Group, DataID: n.Name,
		MD5: d.MD5, Type: d.Type, ContentType: d.ContentType, Revision: d.Revision, Release: d.Release, Deleted: deleted, content: d.Content,
	}
}

func (e entry) name() client.Name {
	return client.Name{Namespace: e.Namespace, Group: e.Group, Name: e.DataID}
}

func (e entry) document() client.Document {
	return client.Document{Content: e.content, MD5: e.MD5, Type: e.Type, ContentType: e.ContentType, Revision: e.Revision, Release: e.Release}
}

// cachePrefix begins the names of the cache's files.
const cachePrefix = "config-"

func (c cache) path(n client.Name) string {
	return filepath.Join(c.dir, cachePrefix+digest(n.String()))
}

// digest returns a file name for any text.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

func (c cache) store(e entry) error {
	if c.dir == "" || c.frozen {
		return nil
	}
	head, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return writeSealed(c.path(e.name()), head, e.content)
}

func (c cache) remove(n client.Name) error {
	if c.dir == "" || c.frozen {
		return nil
	}
	return atomicfile.Remove(c.path(n))
}

// read returns what the cache holds of n; false when that is nothing. What is
// damaged is an error, and set aside.
func (c cache) read(n client.Name) (e entry, ok bool, err error) {
	if c.dir == "" {
		return entry{}, false, nil
	}
	head, content, err := readSealed(c.path(n))
	if err == nil && head == nil {
		return entry{}, false, nil
	}
	if err == nil {
		if e, err = decodeEntry(head, content); err == nil && e.name() != n {
			err = fmt.Errorf("is of %s: %w", e.name(), errDamaged)
		}
	}
	if errors.Is(err, errDamaged) && !c.frozen {
		err = errors.Join(err, setAside(c.path(n)))
	}
	return e, err == nil, err
}

// prune removes the files of documents and targets that are not wanted, by
// name, and what a crash left staged.
func (c cache) prune(wanted map[string]bool) error {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := f.Name()
		ours := strings.HasPrefix(name, cachePrefix) || strings.HasPrefix(name, recordPrefix)
		if strings.HasSuffix(name, broken) || !strings.HasPrefix(name, atomicfile.Prefix) && (!ours || wanted[name]) {
			continue
		}
		if err := os.Remove(filepath.Join(c.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// decodeEntry returns what a file of the cache holds, or errDamaged.
func decodeEntry(head, content []byte) (entry, error) {
	var e entry
	if json.Unmarshal(head, &e) != nil {
		return entry{}, errDamaged
	}
	e.content = content
	if !e.Deleted && e.MD5 != client.Digest(content) {
		return entry{}, errDamaged
	}
	return e, nil
}
