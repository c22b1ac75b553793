package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/internal/atomicfile"
)

// maxApps bounds the registrations of the local API.
const maxApps = 1000

var errTooMany = fmt.Errorf("more than %d registrations", maxApps)

// appsPath is where registrations of the local API outlive a restart.
func (s *sources) appsPath() string { return filepath.Join(s.cfg.DataDir, appsName) }

func (s *sources) store(apps map[string]definition.Service) error {
	b, err := json.MarshalIndent(apps, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(s.appsPath(), append(b, '\n'), atomicfile.Private)
}

// load takes up the registrations of an earlier run. A file that cannot be
// understood is put aside: it must not keep everything else from running.
func (s *sources) load() error {
	b, err := os.ReadFile(s.appsPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	apps, err := decodeApps(b)
	if err != nil {
		aside := s.appsPath() + ".broken"
		s.cfg.Logger.Error("registrations of the local API are lost, the file is put aside", "file", aside, "err", err)
		return os.Rename(s.appsPath(), aside)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps = apps
	return nil
}

func decodeApps(b []byte) (map[string]definition.Service, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, err
	}
	apps := make(map[string]definition.Service, len(raw))
	for id, content := range raw {
		service, err := definition.DecodeService(id, content)
		if err != nil {
			return nil, fmt.Errorf("registration %q: %w", id, err)
		}
		apps[id] = service
	}
	return apps, nil
}
