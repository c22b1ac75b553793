package config

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Defaults of the Nacos world, which are ours too.
const (
	DefaultNamespace = "public"
	DefaultGroup     = "DEFAULT_GROUP"
	// MaxContent bounds one document, in bytes.
	MaxContent = 10 << 20
)

// What callers branch on.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")
	ErrInvalid     = errors.New("invalid") // every [*InvalidError] unwraps to it
	ErrUnavailable = errors.New("unavailable")
	ErrFull        = errors.New("store is full")
)

// InvalidError names one field of a request and what is wrong with it.
type InvalidError struct{ Field, Value, Reason string }

func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %q %s", e.Field, e.Value, e.Reason) }

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

func invalid(field, value, reason string) *InvalidError {
	if len(value) > 64 {
		value = strings.ToValidUTF8(value[:64], "") + "…"
	}
	return &InvalidError{field, value, reason}
}

// Key is the identity of a document.
type Key struct{ Namespace, Group, DataID string }

// String returns namespace/group/dataId.
func (k Key) String() string { return k.Namespace + "/" + k.Group + "/" + k.DataID }

var tenantForm = regexp.MustCompile(`^[0-9A-Za-z_.:-]{1,128}$`)

// Validate returns an [*InvalidError] for a key that no document may have. As in
// Nacos, data id and group take any letter or digit and _ - . and :.
func (k Key) Validate() error {
	if !tenantForm.MatchString(k.Namespace) {
		return invalid("namespace", k.Namespace, "must be 1 to 128 letters, digits or one of _ - . :")
	}
	if err := validateName("dataId", k.DataID, 256); err != nil {
		return err
	}
	return validateName("group", k.Group, 128)
}

func validateName(field, s string, limit int) error {
	switch {
	case s == "":
		return invalid(field, s, "is missing")
	case utf8.RuneCountInString(s) > limit:
		return invalid(field, s, "is longer than "+strconv.Itoa(limit)+" characters")
	case !utf8.ValidString(s):
		return invalid(field, strings.ToValidUTF8(s, "?"), "is not valid UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.:", r)
	}):
		return invalid(field, s, "contains an illegal character")
	}
	return nil
}

// Document is the head of one document: all but its content. It is immutable.
type Document struct {
	Key      Key       `json:"-"`
	Revision int64     `json:"-"` // of its last change
	Seq      int64     `json:"seq"`
	Type     string    `json:"type"`
	Desc     string    `json:"desc,omitempty"`
	App      string    `json:"app,omitempty"`
	Tags     []string  `json:"tags,omitempty"`
	MD5      string    `json:"md5"`    // of the content, lower-case hex
	Digest   string    `json:"digest"` // SHA-256 of the content, lower-case hex: where it lies
	Size     int       `json:"size"`   // bytes
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
	User     string    `json:"user,omitempty"` // who wrote it
	IP       string    `json:"ip,omitempty"`   // from where
}

// Op is what a history record tells of.
type Op string

// The operations of a history record, in Nacos's letters.
const (
	OpInsert Op = "I"
	OpUpdate Op = "U"
	OpDelete Op = "D"
)

// History is one record of what was done to a document. Head is the document as
// it was published, or as it was before it was deleted.
type History struct {
	Key  Key       `json:"-"`
	Seq  int64     `json:"-"`
	Op   Op        `json:"op"`
	Head Document  `json:"head"`
	At   time.Time `json:"at"`
	User string    `json:"user,omitempty"`
	IP   string    `json:"ip,omitempty"`
}

// Sum returns the two digests of a content: MD5, which Nacos clients compare,
// and SHA-256, under which it is stored.
func Sum(content []byte) (md5Hex, sha256Hex string) {
	m, s := md5.Sum(content), sha256.Sum256(content)
	return hex.EncodeToString(m[:]), hex.EncodeToString(s[:])
}

// Types that a document may declare; any other becomes text.
var types = map[string]bool{"properties": true, "xml": true, "json": true, "text": true,
	"html": true, "yaml": true, "toml": true, "unset": true}

// CleanType returns the type that stands for t: text when it is absent or unknown.
func CleanType(t string) string {
	if t = strings.ToLower(t); types[t] {
		return t
	}
	return "text"
}
