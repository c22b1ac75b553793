package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/agent/state"
)

// maxApps bounds the registrations of the local API, and maxAppsSize the bytes that
// they take on disk: servers take no set of more than 8 MiB, and what one program
// registers must not cost the host all others.
const (
	maxApps     = 1000
	maxAppsSize = 3 << 20
)

// ErrTooMany is met when no more registrations are kept.
var ErrTooMany = fmt.Errorf("more than %d registrations, or %d bytes of them", maxApps, maxAppsSize)

func (s *Sources) store(apps map[string]app) error { return state.Write(s.cfg.Apps, apps) }

// fits reports whether registrations are within the bounds.
func fits(apps map[string]app) (bool, error) {
	b, err := json.Marshal(apps)
	return len(apps) <= maxApps && len(b) <= maxAppsSize, err
}

// Load takes up the registrations of an earlier run. A file that cannot be
// understood is put aside: it must not keep everything else from running.
func (s *Sources) Load() {
	var raw map[string]map[string]json.RawMessage
	older := func(content []byte) error { // without a checksum
		if bytes.Contains(content, []byte(`"sha256"`)) {
			return errors.New("is of a newer form, and damaged")
		}
		if err := json.Unmarshal(content, &raw); err != nil {
			return err
		}
		for id, fields := range raw {
			if _, err := decodeApp(id, maps.Clone(fields)); err != nil {
				return fmt.Errorf("registration %q: %w", id, err)
			}
		}
		return nil
	}
	_, err := state.Read(s.cfg.Apps, &raw, older)
	if err != nil {
		s.cfg.Logger.Error("registrations of the local API are lost, the file is put aside", "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, fields := range raw {
		a, err := decodeApp(id, fields)
		if err != nil { // an older version took it
			s.cfg.Logger.Error("a registration of the local API is lost", "name", id, "err", err)
			continue
		}
		s.apps[id] = a
	}
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
