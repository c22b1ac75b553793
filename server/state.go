package server

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/musterhq/muster/internal/atomicfile"
)

// Addresses is where a server listens; it is kept in addresses.json of the data
// directory, for those who gave port 0.
type Addresses struct {
	HTTP string `json:"http"`
	GRPC string `json:"grpc,omitempty"`
	DNS  string `json:"dns"`
}

func (a Addresses) write(dir string) error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, "addresses.json"), append(b, '\n'), atomicfile.Private)
}

// serverID returns the id kept in the data directory, making one at the first
// start: the judge's office tells servers apart by it.
func serverID(dir string) (string, error) {
	path := filepath.Join(dir, "server-id")
	b, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(b)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("data directory: %w", err)
	}
	id := rand.Text()
	return id, atomicfile.Write(path, []byte(id+"\n"), atomicfile.Private)
}
