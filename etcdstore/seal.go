package etcdstore

import (
	"encoding/json"
	"fmt"

	"github.com/musterhq/muster/config"
)

// Vault encrypts what is stored. What was sealed with some additional data opens
// only with the same. It is safe for concurrent use.
type Vault interface {
	Seal(plain, additional []byte) ([]byte, error)
	Open(sealed, additional []byte) ([]byte, error)
}

// errNoKey is met where something is encrypted and this server has no key.
var errNoKey = fmt.Errorf("%w: it is encrypted, and this server has no encryption key", config.ErrUnavailable)

// seal returns a content as it is stored.
func (c *Configs) seal(content config.Content) ([]byte, error) {
	if !config.Sealed(content.Digest) {
		return content.Bytes, nil
	}
	if c.vault == nil {
		return nil, fmt.Errorf("content: %w", errNoKey)
	}
	return c.vault.Seal(content.Bytes, []byte(content.Digest))
}

// open returns a content that was stored, checked.
func (c *Configs) open(digest string, stored []byte) ([]byte, error) {
	if config.Sealed(digest) {
		if c.vault == nil {
			return nil, fmt.Errorf("content %s: %w", digest, errNoKey)
		}
		content, err := c.vault.Open(stored, []byte(digest))
		if err != nil {
			return nil, fmt.Errorf("content %s: %w", digest, err)
		}
		return content, nil
	}
	if _, got := config.Sum(stored); got != digest {
		return nil, fmt.Errorf("content %s is damaged: what is stored has digest %s", digest, got)
	}
	return stored, nil
}

// encode returns the stored form of a record.
func (c *Configs) encode(rec config.Record) ([]byte, error) {
	switch rec := rec.(type) {
	case *config.Document:
		d, err := c.conceal(*rec)
		if err != nil {
			return nil, err
		}
		return json.Marshal(d)
	case *config.Release:
		r := *rec
		var err error
		if r.Document, err = c.conceal(r.Document); err != nil {
			return nil, err
		}
		return json.Marshal(r)
	case *config.Part:
		p := *rec
		var err error
		if p.MD5, p.SealedMD5, err = c.sealMD5(p.MD5, p.Digest); err != nil {
			return nil, err
		}
		return json.Marshal(p)
	}
	return json.Marshal(rec)
}

func (c *Configs) encodeHistory(h config.History) ([]byte, error) {
	var err error
	if h.Head, err = c.conceal(h.Head); err != nil {
		return nil, err
	}
	return json.Marshal(h)
}

// conceal seals the MD5 of a document whose content is sealed.
func (c *Configs) conceal(d config.Document) (config.Document, error) {
	var err error
	d.MD5, d.SealedMD5, err = c.sealMD5(d.MD5, d.Digest)
	return d, err
}

// sealMD5 seals the MD5 of a content that is sealed under its digest: it tells who can
// guess the content that they have.
func (c *Configs) sealMD5(md5, digest string) (plain string, sealed []byte, err error) {
	if !config.Sealed(digest) {
		return md5, nil, nil
	}
	if c.vault == nil {
		return "", nil, errNoKey
	}
	sealed, err = c.vault.Seal([]byte(md5), []byte(digest))
	return "", sealed, err
}

// reveal reverses conceal.
func (c *Configs) reveal(d *config.Document) error {
	return c.openMD5(&d.MD5, &d.SealedMD5, d.Digest)
}

// openMD5 reverses sealMD5.
func (c *Configs) openMD5(md5 *string, sealed *[]byte, digest string) error {
	if !config.Sealed(digest) {
		return nil
	}
	if c.vault == nil {
		return errNoKey
	}
	opened, err := c.vault.Open(*sealed, []byte(digest))
	*md5, *sealed = string(opened), nil
	return err
}

// decode reads the stored form of a record.
func (c *Configs) decode(k config.RecordKey, value []byte, revision int64) (config.Record, error) {
	rec, err := config.Decode(k, value, revision)
	if err != nil {
		return nil, err
	}
	switch rec := rec.(type) {
	case *config.Document:
		err = c.reveal(rec)
	case *config.Release:
		err = c.reveal(&rec.Document)
	case *config.Part:
		err = c.openMD5(&rec.MD5, &rec.SealedMD5, rec.Digest)
	}
	return rec, err
}
