package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/internal/atomicfile"
)

// maxApps bounds the registrations of the local API.
const maxApps = 1000

// ErrTooMany is met when no more registrations are kept.
var ErrTooMany = fmt.Errorf("more than %d registrations", maxApps)

func (s *Sources) store(apps map[string]definition.Service) error {
	b, err := json.MarshalIndent(apps, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(s.cfg.Apps, append(b, '\n'), atomicfile.Private)
}

// Load takes up the registrations of an earlier run. A file that cannot be
// understood is put aside: it must not keep everything else from running.
func (s *Sources) Load() error {
	b, err := os.ReadFile(s.cfg.Apps)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	apps, err := decodeApps(b)
	if err != nil {
		aside := s.cfg.Apps + ".broken"
		s.cfg.Logger.Error("registrations of the local API are lost, the file is put aside", "file", aside, "err", err)
		return os.Rename(s.cfg.Apps, aside)
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
