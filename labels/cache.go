package labels

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/musterhq/muster/internal/atomicfile"
)

// cache is the file that keeps the last good version of an endpoint: a line that
// says whose it is, and what was answered.
type cache struct {
	path string
	url  string
	max  int64
}

// cached is the first line.
type cached struct {
	Of      string    `json:"of"` // digest of the URL, which may hold a secret
	Fetched time.Time `json:"fetched"`
	Format  Format    `json:"format"`
}

// maxFirstLine bounds the first line.
const maxFirstLine = 1 << 10

func (c *cache) of() string {
	sum := sha256.Sum256([]byte(c.url))
	return hex.EncodeToString(sum[:])
}

// keep writes a version down.
func (c *cache) keep(v version, fetched time.Time) error {
	line, err := json.Marshal(cached{c.of(), fetched.UTC(), v.format})
	if err != nil {
		return err
	}
	content := make([]byte, 0, len(line)+1+len(v.content))
	content = append(append(append(content, line...), '\n'), v.content...)
	return atomicfile.Write(c.path, content, atomicfile.Private)
}

// load returns the version that was kept of this URL, and when it was fetched. The
// error is fs.ErrNotExist when there is none.
func (c *cache) load() (v version, fetched time.Time, err error) {
	if _, err := atomicfile.Clean(c.path); err != nil { // of a crash while it was written
		return v, fetched, err
	}
	f, err := os.Open(c.path)
	if err != nil {
		return v, fetched, err
	}
	defer f.Close()
	content, err := readUpTo(f, c.max+maxFirstLine)
	if err != nil {
		return v, fetched, err
	}
	line, rest, ok := bytes.Cut(content, []byte("\n"))
	var first cached
	if !ok || json.Unmarshal(line, &first) != nil {
		return v, fetched, errors.New("does not begin as a copy of labels does")
	}
	if first.Of != c.of() {
		return v, fetched, fmt.Errorf("is of another URL: %w", os.ErrNotExist)
	}
	return version{rest, first.Format}, first.Fetched, nil
}
