package probe

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
)

// Bounds of what a check sends and looks for.
const (
	maxPayload = 16 << 10
	maxPattern = 1 << 10
	maxMatched = 128 << 10 // of an answer that is looked at
)

// match is what an answer must hold; nil: it may be anything.
type match struct {
	contains []byte
	matches  *regexp.Regexp // nil: none
}

func (c Check) match() (*match, error) {
	if c.Contains == "" && c.Matches == "" {
		return nil, nil
	}
	if max(len(c.Contains), len(c.Matches)) > maxPattern {
		return nil, fmt.Errorf("contains or matches is longer than %d bytes", maxPattern)
	}
	m := &match{contains: []byte(c.Contains)}
	if c.Matches != "" {
		var err error
		if m.matches, err = regexp.Compile(c.Matches); err != nil {
			return nil, fmt.Errorf("matches is no regular expression: %w", err)
		}
	}
	return m, nil
}

// in returns nil if b holds it. The error does not show b, which may be secret.
func (m *match) in(b []byte) error {
	switch {
	case m == nil:
		return nil
	case !bytes.Contains(b, m.contains):
		return wrongAnswer(fmt.Errorf("%d bytes that do not contain %q", len(b), m.contains))
	case m.matches != nil && !m.matches.Match(b):
		return wrongAnswer(fmt.Errorf("%d bytes that do not match %q", len(b), m.matches))
	}
	return nil
}

// payload returns what is to be sent, nil for nothing.
func (c Check) payload() ([]byte, error) {
	if c.Payload != "" && c.PayloadHex != "" {
		return nil, errors.New("both payload and payload_hex are set")
	}
	b := []byte(c.Payload)
	if c.PayloadHex != "" {
		var err error
		if b, err = hex.DecodeString(c.PayloadHex); err != nil {
			return nil, fmt.Errorf("payload_hex: %w", err)
		}
	}
	if len(b) > maxPayload {
		return nil, fmt.Errorf("the payload is longer than %d bytes", maxPayload)
	}
	return b, nil
}
