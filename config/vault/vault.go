// Package vault seals contents for storage, each under a key of its own that
// only a master key opens.
//
// Every [Vault.Seal] draws a new 256-bit data key, encrypts the content under it
// with AES-256-GCM and has the data key wrapped by a [Keeper], which holds the
// master keys: a [File], or a key service. What is sealed names the master key
// that wrapped it, so older ones go on opening what they closed. Both steps are
// bound to the additional data of the caller: sealed bytes that are moved to
// another document do not open.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// What callers branch on. No error holds a key or a content.
var (
	// ErrSealed is what Open says of bytes that are damaged, are not sealed, or
	// were sealed with other additional data.
	ErrSealed = errors.New("sealed content is damaged or belongs elsewhere")
	// ErrUnknownKey is what Open says when no key of the name that the sealed
	// bytes bear is there; the error names it.
	ErrUnknownKey = errors.New("unknown key")
)

// Keeper holds master keys, and nobody else sees them. It is called by many
// goroutines at once. One that asks a service bounds its own waiting.
type Keeper interface {
	// Wrap encrypts a data key under the current master key, bound to aad, and
	// returns the name of that master key: 1 to 64 letters, digits or one of _ . -
	Wrap(key, aad []byte) (id string, wrapped []byte, err error)
	// Unwrap decrypts what Wrap returned. Its errors are ErrUnknownKey and
	// ErrSealed, or say why the keeper cannot be asked.
	Unwrap(id string, wrapped, aad []byte) (key []byte, err error)
}

// The layout, version 1, integers big-endian:
//
//	"MSV" 1 | length of id, 1 byte | id | length of wrapped, 2 bytes | wrapped | nonce, 12 bytes | ciphertext | tag, 16 bytes
//
// What stands before the nonce is authenticated with the content.
const (
	magic   = "MSV\x01"
	keySize = 32
)

var idForm = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)

// Vault seals and opens. Its methods may be called by many goroutines at once.
type Vault struct{ keeper Keeper }

// New returns a vault whose data keys are wrapped by keeper.
func New(keeper Keeper) *Vault { return &Vault{keeper} }

// Seal encrypts plain, bound to aad. It is as long as plain and about 120 bytes.
func (v *Vault) Seal(plain, aad []byte) ([]byte, error) {
	key := make([]byte, keySize)
	defer clear(key)
	_, _ = rand.Read(key) // never fails
	id, wrapped, err := v.keeper.Wrap(key, aad)
	if err != nil {
		return nil, fmt.Errorf("wrap a data key: %w", err)
	}
	if !idForm.MatchString(id) || len(wrapped) > 1<<16-1 {
		return nil, fmt.Errorf("wrap a data key: the keeper gave a name or a key that cannot be kept")
	}
	head := append([]byte(magic), byte(len(id)))
	head = append(head, id...)
	head = binary.BigEndian.AppendUint16(head, uint16(len(wrapped)))
	head = append(head, wrapped...)
	box, err := gcm(key)
	if err != nil {
		return nil, err
	}
	sealed := slices.Grow(head, len(plain)+box.Overhead())
	return box.Seal(sealed, nil, plain, bound(head, aad)), nil
}

// Open decrypts what Seal returned for the same aad.
func (v *Vault) Open(sealed, aad []byte) ([]byte, error) {
	head, id, wrapped, err := split(sealed)
	if err != nil {
		return nil, err
	}
	key, err := v.keeper.Unwrap(id, wrapped, aad)
	if err != nil {
		return nil, fmt.Errorf("unwrap a data key: %w", err)
	}
	defer clear(key)
	return unbox(key, sealed[len(head):], bound(head, aad))
}

// split takes sealed bytes apart; head is all that stands before the nonce.
func split(sealed []byte) (head []byte, id string, wrapped []byte, err error) {
	rest := sealed
	take := func(n int) (part []byte) {
		if n > len(rest) {
			err = ErrSealed
			return make([]byte, n)
		}
		part, rest = rest[:n], rest[n:]
		return part
	}
	version := string(take(len(magic)))
	id = string(take(int(take(1)[0])))
	wrapped = take(int(binary.BigEndian.Uint16(take(2))))
	// The name is shown in errors, so it must be one.
	if err != nil || version != magic || !idForm.MatchString(id) {
		return nil, "", nil, ErrSealed
	}
	return sealed[:len(sealed)-len(rest)], id, wrapped, nil
}

// bound joins two parts so that no other two give the same bytes.
func bound(a, b []byte) []byte {
	joined := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(a)+len(b)), uint32(len(a)))
	return append(append(joined, a...), b...)
}

// gcm draws the nonce itself and puts it before what it encrypts.
func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// unbox opens a box; whatever is wrong with it is ErrSealed.
func unbox(key, box, aad []byte) ([]byte, error) {
	if len(key) != keySize {
		return nil, ErrSealed
	}
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, box, aad)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
