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

func (s *Sources) store(apps map[string]app) error {
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

func decodeApps(b []byte) (map[string]app, error) {
	var raw map[string]map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, err
	}
	apps := make(map[string]app, len(raw))
	for id, fields := range raw {
		a, err := decodeApp(id, fields)
		if err != nil {
			return nil, fmt.Errorf("registration %q: %w", id, err)
		}
		apps[id] = a
	}
	return apps, nil
}

// decodeApp reads one registration. Nobody adds to it by hand what the local
// API does not take.
func decodeApp(id string, fields map[string]json.RawMessage) (a app, err error) {
	if uid, ok := fields["uid"]; ok {
		if err := json.Unmarshal(uid, &a.UID); err != nil {
			return a, fmt.Errorf("uid: %w", err)
		}
		delete(fields, "uid")
	}
	content, err := json.Marshal(fields)
	if err != nil {
		return a, err
	}
	if a.Service, err = definition.DecodeService(id, content); err != nil {
		return a, err
	}
	if field := LocalOnly(a.Service); field != "" {
		return a, fmt.Errorf("%s %w", field, ErrLocal)
	}
	return a, nil
}
