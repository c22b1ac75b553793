package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of what is told of a document, in characters, as in Nacos.
const (
	maxDesc   = 128
	maxWord   = 32
	maxSchema = 32768
	maxTags   = 5
	maxTag    = 64
)

// Author is who changes a document, and from where.
type Author struct{ User, IP string }

// Condition is what must stand for a write to be made. The zero Condition is
// none; what does not hold is a [*ConflictError].
type Condition struct {
	MD5      string // of the content; where there is no document it holds too, as in Nacos
	Revision int64  // of the document, 0: any
	Exists   bool   // there is a document
	Absent   bool   // there is none
}

// hold returns why the condition does not hold of what stands under a key.
func (c Condition) hold(k Key, stands *Document) error {
	e := &ConflictError{Key: k, Unmet: true}
	if stands == nil {
		if c.Exists || c.Revision > 0 {
			e.Reason = "does not exist"
			return e
		}
		return nil
	}
	e.MD5, e.Revision = stands.MD5, stands.Revision
	switch {
	case c.Absent:
		e.Reason = "exists already, with MD5 " + stands.MD5
	case c.MD5 != "" && c.MD5 != stands.MD5:
		e.Reason = "has MD5 " + stands.MD5 + ", not " + c.MD5
	case c.Revision > 0 && c.Revision != stands.Revision:
		e.Reason = "is at revision " + strconv.FormatInt(stands.Revision, 10) + ", not " + strconv.FormatInt(c.Revision, 10)
	default:
		return nil
	}
	return e
}

// Draft is a document to publish.
type Draft struct {
	Key     Key
	Content []byte
	Type    string // CleanType decides
	Desc    string
	App     string
	Tags    []string
	Use     string
	Effect  string
	Schema  string
	DataKey string // see [Document]
	// Keep leaves what is empty of the above, but for the content and its DataKey, as it stands.
	Keep bool
	// KeepApp and KeepTags leave the application and the tags as they stand, which
	// Nacos does with what is not sent at all.
	KeepApp, KeepTags bool
	// Encrypt says whether the content is encrypted where it is stored; nil leaves it
	// as it stands. A new document is when its data id begins with cipher-, the
	// server has a key, and no DataKey tells that the client has done it.
	Encrypt *bool
	Author  Author
	If      Condition
}

// sealedPrefix begins the data ids of documents that Nacos encrypts.
const sealedPrefix = "cipher-"

func (d *Draft) validate() error {
	if err := d.Key.Validate(); err != nil {
		return err
	}
	switch {
	case len(d.Content) > MaxContent:
		return invalid("content", strconv.Itoa(len(d.Content))+" bytes", "is over "+strconv.Itoa(MaxContent)+" bytes")
	case strings.TrimSpace(string(d.Content)) == "":
		return invalid("content", "", "is blank")
	case !utf8.Valid(d.Content):
		return invalid("content", "", "is not valid UTF-8")
	case len(d.DataKey) > 4096:
		return invalid("encryptedDataKey", "", "is longer than 4096 bytes")
	case len(d.Tags) > maxTags:
		return invalid("tags", strings.Join(d.Tags, ","), "are more than "+strconv.Itoa(maxTags))
	}
	for _, t := range d.Tags {
		if t == "" || utf8.RuneCountInString(t) > maxTag {
			return invalid("tags", t, "must be 1 to "+strconv.Itoa(maxTag)+" characters")
		}
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{{"desc", d.Desc, maxDesc}, {"app", d.App, maxDesc}, {"use", d.Use, maxWord}, {"effect", d.Effect, maxWord},
		{"type", d.Type, maxWord}, {"schema", d.Schema, maxSchema}} {
		if utf8.RuneCountInString(f.value) > f.limit {
			return invalid(f.name, f.value, "is longer than "+strconv.Itoa(f.limit)+" characters")
		}
		if !utf8.ValidString(f.value) {
			return invalid(f.name, "", "is not valid UTF-8")
		}
	}
	return nil
}

// sums are the digests of a draft's content, which every attempt to publish it
// shares.
type sums struct{ md5, clear, sealed string }

func (d *Draft) sums() sums {
	md5, sha256 := Sum(d.Content)
	return sums{md5, sha256, sealedDigest()}
}

// encrypts reports whether the content of a draft is to be encrypted, over what stands.
func (c *Center) encrypts(d *Draft, stands *Document) bool {
	switch {
	case d.Encrypt != nil:
		return *d.Encrypt
	case stands != nil:
		return stands.Encrypted()
	}
	return c.cfg.Sealing && d.DataKey == "" && strings.HasPrefix(d.Key.DataID, sealedPrefix)
}

// head returns the document that a draft makes of what stands, nil: of nothing.
func (c *Center) head(d *Draft, sums sums, stands *Document) (*Document, error) {
	h := &Document{Key: d.Key, Type: d.Type, Desc: d.Desc, App: d.App, Tags: slices.Clone(d.Tags), Use: d.Use,
		Effect: d.Effect, Schema: d.Schema, DataKey: d.DataKey, MD5: sums.md5, Digest: sums.clear, Size: len(d.Content)}
	if (d.Keep || d.KeepApp) && stands != nil {
		h.App = cmp.Or(h.App, stands.App)
	}
	if (d.Keep || d.KeepTags) && stands != nil && len(h.Tags) == 0 {
		h.Tags = stands.Tags
	}
	if d.Keep && stands != nil {
		h.Type, h.Desc = cmp.Or(h.Type, stands.Type), cmp.Or(h.Desc, stands.Desc)
		h.Use, h.Effect, h.Schema = cmp.Or(h.Use, stands.Use), cmp.Or(h.Effect, stands.Effect), cmp.Or(h.Schema, stands.Schema)
	}
	h.Type = CleanType(h.Type)
	if c.encrypts(d, stands) {
		if !c.cfg.Sealing {
			return nil, invalid("encrypt", "true", "is not possible: this server has no encryption key")
		}
		h.Digest = sums.sealed
	}
	return h, nil
}
