package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/internal/atomicfile"
)

// Addresses is where a server listens; it is kept in addresses.json of the data
// directory, for those who gave port 0.
type Addresses struct {
	HTTP     string `json:"http"`
	GRPC     string `json:"grpc,omitempty"`
	DNS      string `json:"dns"`
	DNSTLS   string `json:"dns_tls,omitempty"`
	DNSHTTPS string `json:"dns_https,omitempty"`
	DNSQUIC  string `json:"dns_quic,omitempty"`
}

func (a Addresses) write(dir string) error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, "addresses.json"), append(b, '\n'), atomicfile.Private)
}

// readSerial returns the highest SOA serial that was served from a data
// directory, 0 when none was.
func readSerial(dir string) (uint32, error) {
	path := filepath.Join(dir, "serial")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("data directory: %w", err)
	}
	serial, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is no SOA serial; remove the file if it was damaged", path, b)
	}
	return uint32(serial), nil
}

// serialEvery is how often the serial is written down. What a crash between two
// times loses is less than the store leaves above when it raises the epoch.
const serialEvery = 2 * time.Second

// keepSerial writes the serial down until ctx ends, and once more then.
func (s *Server) keepSerial(ctx context.Context) error {
	var kept uint32
	failed := false
	tick := time.NewTicker(serialEvery)
	defer tick.Stop()
	for more := true; more; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			more = false
		}
		now := s.store.Serial()
		if now == kept || s.store.View().Snapshot() == nil {
			continue
		}
		text := strconv.FormatUint(uint64(now), 10) + "\n"
		if err := atomicfile.Write(filepath.Join(s.cfg.DataDir, "serial"), []byte(text), atomicfile.Private); err != nil {
			if !failed { // a full disk: it goes on serving, and says so once
				s.log.Warn("the SOA serial is not written down", "err", err)
			}
			failed = true
			continue
		}
		kept, failed = now, false
	}
	return nil
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
