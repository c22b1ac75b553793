package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/musterhq/muster/agent/definition"
)

// Caller is who registers, changes or withdraws.
type Caller struct {
	// UID is the user that the caller runs as; Nobody when that is not known.
	UID int
	// Any lets the caller change what others registered: the agent's own user,
	// and root.
	Any bool
}

// Nobody is the UID of a caller of whom nothing is known.
const Nobody = -1

// ErrOwned is met by a caller who may not touch what another user registered.
var ErrOwned = errors.New("belongs to another user")

// ErrLocal is met when a registration asks for what only a definition file may:
// it would have the agent act with its own rights for whoever called.
var ErrLocal = errors.New("may stand in a definition file only")

// app is one registration of the local API.
type app struct {
	definition.Service

	// UID is the user that registered it; nil when that is not known, and then
	// everybody may change it.
	UID *int `json:"uid,omitempty"`
}

// by returns nil when c may change the registration.
func (a app) by(id string, c Caller) error {
	if c.Any || a.UID == nil || *a.UID == c.UID {
		return nil
	}
	return fmt.Errorf("%q %w, %d", id, ErrOwned, *a.UID)
}

// owned returns the service as c registers it. What root or the agent's user
// changes stays whose it was.
func (c Caller) owned(service definition.Service, before app, exists bool) app {
	a := app{Service: service}
	switch {
	case exists && c.Any && before.UID != nil:
		a.UID = before.UID
	case c.UID != Nobody:
		a.UID = new(c.UID)
	}
	return a
}

// Owner returns the user that registered id, Nobody when that is not known or
// there is no such registration.
func (s *Sources) Owner(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.apps[id]; ok && a.UID != nil {
		return *a.UID
	}
	return Nobody
}

// May returns nil when c may change the registration id, ErrOwned when it may
// not, and ErrNone when there is none.
func (s *Sources) May(id string, c Caller) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.apps[id]
	if !ok {
		return ErrNone
	}
	return a.by(id, c)
}

// ErrNone is met when nothing is registered under a name.
var ErrNone = errors.New("nothing is registered")

// remote are the keys of a check that programs may use over the local API: what
// is asked over the network, and how. A key that is not here, one that runs a
// command or reads a file for example, is for definition files.
var remote = map[string]bool{
	"tcp": true, "udp": true, "http": true, "mysql": true, "redis": true, "grpc": true, "ttl": true, "name": true,
	"method": true, "headers": true, "expect": true, "payload": true, "payload_hex": true, "contains": true, "matches": true,
	"expect_answer": true, "user": true, "password": true, "command": true, "grpc_service": true,
	"tls": true, "tls_skip_verify": true, "tls_server_name": true,
	"interval": true, "timeout": true, "rise": true, "fall": true, "no_damping": true, "deregister_after": true,
}

// LocalOnly returns the first field of service, such as checks[0].exec, that
// only a definition file may set; empty when there is none.
func LocalOnly(service definition.Service) string {
	for i, c := range service.Checks {
		b, err := json.Marshal(c)
		if err != nil {
			return fmt.Sprintf("checks[%d]", i) // what cannot be read is not let through
		}
		d := json.NewDecoder(bytes.NewReader(b))
		if _, err := d.Token(); err != nil {
			return fmt.Sprintf("checks[%d]", i)
		}
		for d.More() {
			key, err := d.Token()
			var value json.RawMessage
			if err != nil || d.Decode(&value) != nil {
				return fmt.Sprintf("checks[%d]", i)
			}
			if name, ok := key.(string); !ok || !remote[name] {
				return fmt.Sprintf("checks[%d].%v", i, key)
			}
		}
	}
	return ""
}
