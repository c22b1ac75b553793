package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Payload is a message as it travels: its type, and its fields as JSON.
type Payload struct {
	Type     string
	Headers  map[string]string
	ClientIP string // as the client says it
	Body     []byte
}

// Numbers of the fields: Payload has metadata and body, Metadata has type, headers and
// clientIp, and body is an Any, of which the value counts.
const (
	fieldMetadata = 2
	fieldBody     = 3
	fieldType     = 3
	fieldHeaders  = 7
	fieldClientIP = 8
	fieldValue    = 2
	fieldKey      = 1 // of an entry of a map
)

var errMessage = errors.New("the message is no Payload")

// maxHeaders bounds the headers of a message: a few bytes of it are many in memory.
const maxHeaders = 256

// ParsePayload reads a message. Fields that are not known are passed over; of one that
// comes twice the last counts, and headers add up. The body is a part of b.
func ParsePayload(b []byte) (p Payload, err error) {
	err = fields(b, func(n protowire.Number, v []byte) error {
		switch n {
		case fieldMetadata:
			return p.parseMetadata(v)
		case fieldBody:
			return fields(v, func(n protowire.Number, v []byte) error {
				if n == fieldValue {
					p.Body = v
				}
				return nil
			})
		}
		return nil
	})
	return p, err
}

func (p *Payload) parseMetadata(b []byte) error {
	return fields(b, func(n protowire.Number, v []byte) error {
		switch n {
		case fieldType:
			p.Type = string(v)
		case fieldClientIP:
			p.ClientIP = string(v)
		case fieldHeaders:
			var key, value string
			if err := fields(v, func(n protowire.Number, v []byte) error {
				switch n {
				case fieldKey:
					key = string(v)
				case fieldValue:
					value = string(v)
				}
				return nil
			}); err != nil {
				return err
			}
			if p.Headers == nil {
				p.Headers = map[string]string{}
			}
			if p.Headers[key] = value; len(p.Headers) > maxHeaders {
				return fmt.Errorf("%w: it has more than %d headers", errMessage, maxHeaders)
			}
		}
		return nil
	})
}

// fields calls each with every field of b that has a length. All that we read have one.
func fields(b []byte, each func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMessage, protowire.ParseError(n))
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return fmt.Errorf("%w: %w", errMessage, protowire.ParseError(n))
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMessage, protowire.ParseError(n))
		}
		if err := each(number, v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Append appends the message to b.
func (p *Payload) Append(b []byte) []byte { return append(p.appendHead(b, len(p.Body)), p.Body...) }

// appendHead appends what stands before a body of size bytes.
func (p *Payload) appendHead(b []byte, size int) []byte {
	b = protowire.AppendTag(b, fieldMetadata, protowire.BytesType)
	b = protowire.AppendBytes(b, p.metadata())
	b = protowire.AppendTag(b, fieldBody, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(protowire.SizeTag(fieldValue)+protowire.SizeBytes(size)))
	b = protowire.AppendTag(b, fieldValue, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(size))
}

func (p *Payload) metadata() []byte {
	b := protowire.AppendTag(nil, fieldType, protowire.BytesType)
	b = protowire.AppendString(b, p.Type)
	for _, key := range slices.Sorted(maps.Keys(p.Headers)) {
		entry := protowire.AppendTag(nil, fieldKey, protowire.BytesType)
		entry = protowire.AppendString(entry, key)
		entry = protowire.AppendTag(entry, fieldValue, protowire.BytesType)
		entry = protowire.AppendString(entry, p.Headers[key])
		b = protowire.AppendTag(b, fieldHeaders, protowire.BytesType)
		b = protowire.AppendBytes(b, entry)
	}
	if p.ClientIP != "" {
		b = protowire.AppendTag(b, fieldClientIP, protowire.BytesType)
		b = protowire.AppendString(b, p.ClientIP)
	}
	return b
}

// prefix is what gRPC puts before each message: whether it is compressed, and its length.
const prefix = 5

// framed returns what stands before a body of size bytes on the wire, gRPC's prefix first.
func framed(typ string, size int) []byte {
	p := Payload{Type: typ}
	b := p.appendHead(make([]byte, prefix, prefix+len(typ)+32), size)
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-prefix+size)) //nolint:gosec // bounded by what is sent
	return b
}
