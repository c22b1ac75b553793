package config

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unique"
)

// MaxContent bounds one document, in bytes.
const MaxContent = 10 << 20

// Document is the head of one document: all but its content. It is immutable.
type Document struct {
	Key      Key      `json:"-"`
	Revision int64    `json:"-"` // of its last change
	Seq      int64    `json:"seq"`
	Type     string   `json:"type"`
	Desc     string   `json:"desc,omitempty"`
	App      string   `json:"app,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Use      string   `json:"use,omitempty"`
	Effect   string   `json:"effect,omitempty"`
	Schema   string   `json:"schema,omitempty"` // a JSON Schema that the content must fit, or any text
	MD5      string   `json:"md5,omitempty"`    // of the content as clients get it, lower-case hex
	Digest   string   `json:"digest"`           // where the content lies: see [Sum] and [Sealed]
	Size     int      `json:"size"`             // bytes
	// DataKey came with a content that the client had encrypted, and goes back to
	// clients with it.
	DataKey string `json:"dataKey,omitempty"`
	// SealedMD5 takes the place of MD5 in the store, where the content is sealed.
	SealedMD5 []byte `json:"sealedMd5,omitempty"`
	// Parts is how many parts the content is joined of, 0: it is no aggregate.
	Parts    int       `json:"parts,omitempty"`
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
	User     string    `json:"user,omitempty"` // who wrote it
	IP       string    `json:"ip,omitempty"`   // from where
}

// RecordKey implements [Record].
func (d *Document) RecordKey() RecordKey { return RecordKey{Kind: KindDocument, Key: d.Key} }

// Encrypted reports whether the content is encrypted where it is stored.
func (d *Document) Encrypted() bool { return Sealed(d.Digest) }

// intern has the document share with others what many have in common.
func (d *Document) intern() {
	for _, word := range []*string{&d.Type, &d.App, &d.User, &d.IP, &d.Key.Namespace, &d.Key.Group} {
		*word = unique.Make(*word).Value()
	}
}

// Sum returns the two digests of a content: MD5, which Nacos clients compare,
// and SHA-256, under which it is stored in the clear.
func Sum(content []byte) (md5Hex, sha256Hex string) {
	m, s := md5.Sum(content), sha256.Sum256(content)
	return hex.EncodeToString(m[:]), hex.EncodeToString(s[:])
}

const sealedMark = "sealed-"

// Sealed reports whether what lies under a digest is encrypted there. Such a
// digest is random, as one of the content would tell who can guess it.
func Sealed(digest string) bool { return strings.HasPrefix(digest, sealedMark) }

func sealedDigest() string {
	var b [sha256.Size]byte
	rand.Read(b[:])
	return sealedMark + hex.EncodeToString(b[:])
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
