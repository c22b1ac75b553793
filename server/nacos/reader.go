package nacos

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/musterhq/muster/config"
)

// Track remembers who holds which version of a document. A client is known by
// what it says of itself; the answers know it by its IP address alone.
type Track interface {
	// Heard notes what a client says that it holds: MD5s, empty ones for nothing.
	Heard(c config.Client, held iter.Seq2[config.Key, string])
	// Listens is Heard of a client that is told of changes over a connection.
	Listens(c config.Client, held iter.Seq2[config.Key, string])
	// Sent notes that a client was given the content with this MD5, of a gray
	// release, or of none if that is empty.
	Sent(c config.Client, k config.Key, md5, release string)
	// Holders returns the MD5 that each address holds of a document, as far as this
	// server has heard.
	Holders(k config.Key) map[string]string
	// Held returns the MD5 of each document that an address holds.
	Held(ip string) map[config.Key]string
}

// noTrack remembers nothing.
type noTrack struct{}

func (noTrack) Heard(config.Client, iter.Seq2[config.Key, string])   {}
func (noTrack) Listens(config.Client, iter.Seq2[config.Key, string]) {}
func (noTrack) Sent(config.Client, config.Key, string, string)       {}
func (noTrack) Holders(config.Key) map[string]string                 { return nil }
func (noTrack) Held(string) map[config.Key]string                    { return nil }

const headerTag = "Vipserver-Tag"

// reader returns who reads documents, as far as gray releases ask for it.
func (c *call) reader() config.Client {
	head := c.r.Header
	who := config.Client{ID: head.Get(headerClient), IP: c.client(), Tag: strings.TrimSpace(head.Get(headerTag))}
	if who.Tag == "" {
		who.Tag = head.Get(headerClientTag)
	}
	for _, entry := range entries(head.Get(headerClientLabels)) {
		if name, value, ok := strings.Cut(entry, "="); ok {
			if who.Labels == nil {
				who.Labels = map[string]string{}
			}
			who.Labels[name] = value
		}
	}
	return c.h.cfg.Asker(who)
}

// choose returns what a client gets of a document: exactly the release of a tag that it
// asks for, else what is for it.
func (h *Handler) choose(k config.Key, who config.Client, tag string) config.Choice {
	snap := h.cfg.Configs.View().Snapshot()
	if tag == "" {
		return snap.Choose(k, who)
	}
	if r := snap.Release(k, config.TagPrefix+tag); r != nil {
		return config.Choice{Document: &r.Document, Release: r.Name, Why: "it was asked for"}
	}
	return config.Choice{}
}

// rereads is how often a content is sought anew that went as its document changed.
const rereads = 3

// chosen returns what a client gets of a document, with the content; no document
// when that is nothing. A content that is missing is a failure: told as absence,
// it would have clients drop what they have.
func (h *Handler) chosen(ctx context.Context, k config.Key, who config.Client, tag string) (choice config.Choice, content []byte, err error) {
	for range rereads {
		if choice = h.choose(k, who, tag); choice.Document == nil {
			return choice, nil, h.cfg.Configs.View().Snapshot().Legible(k)
		}
		content, err = h.cfg.Configs.Content(ctx, choice.Document)
		if err == nil || h.choose(k, who, tag).Document == choice.Document {
			break
		}
	}
	return choice, content, err
}

// showChoice tells in headers what is answered of a document, and why.
func (c *call) showChoice(choice config.Choice) {
	head, d := c.w.Header(), choice.Document
	head.Set("Config-Type", d.Type)
	head.Set("Content-MD5", d.MD5)
	head.Set("Last-Modified", d.Modified.UTC().Format(http.TimeFormat))
	if d.DataKey != "" {
		head.Set("Encrypted-Data-Key", d.DataKey)
	}
	if choice.Release == "" {
		return
	}
	head.Set(headerRelease, choice.Release)
	head.Set(headerReleaseWhy, choice.Why)
	if choice.Release == config.BetaName {
		head.Set("isBeta", "true")
	}
	if tag, ok := strings.CutPrefix(choice.Release, config.TagPrefix); ok { // named so up to version 2, and from 3 on
		head.Set(headerTag, url.QueryEscape(tag))
		head.Set("tag", url.QueryEscape(tag))
	}
}

// content answers a content: as it is in version 1, as data in version 2.
func (h *Handler) content(c *call) (any, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, err
	}
	noCache(c.w.Header())
	who := c.reader()
	choice, content, err := h.chosen(c.r.Context(), k, who, c.value("tag"))
	switch {
	case err != nil:
		return nil, err
	case choice.Document == nil:
		return nil, c.notExist()
	}
	c.showChoice(choice)
	h.cfg.Track.Sent(who, k, choice.Document.MD5, choice.Release)
	if c.form == bare {
		return answered{}, c.answer(http.StatusOK, contentType(choice.Document.Type), string(content))
	}
	return string(content), nil
}

// notExist ends its line where it is the whole answer.
func (c *call) notExist() error {
	if c.form == bare {
		return refuse(http.StatusNotFound, "config data not exist\n")
	}
	return refuse(http.StatusNotFound, "config data not exist").as(resourceNotFound)
}

// noCache keeps proxies from answering in our place.
func noCache(head http.Header) {
	head.Set("Pragma", "no-cache")
	head.Set("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
	head.Set("Cache-Control", "no-cache,no-store")
}

// contentType is that of plain text but for JSON. Nacos before 3.0 serves HTML
// and XML as such; then whoever may publish runs scripts on our origin.
func contentType(kind string) string {
	if kind == "json" {
		return typeJSON
	}
	return typeText
}

// reading is what clients of version 3 read.
type reading struct {
	ResultCode       int     `json:"resultCode"`
	ErrorCode        int     `json:"errorCode"`
	Message          *string `json:"message"`
	RequestID        *string `json:"requestId"`
	Content          string  `json:"content"`
	EncryptedDataKey string  `json:"encryptedDataKey"`
	ContentType      string  `json:"contentType"`
	MD5              string  `json:"md5"`
	LastModified     int64   `json:"lastModified"` // milliseconds
	Tag              *string `json:"tag"`
	Beta             bool    `json:"beta"`
	Success          bool    `json:"success"`
}

func (h *Handler) clientContent(c *call) (any, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, err
	}
	who := c.reader()
	choice, content, err := h.chosen(c.r.Context(), k, who, "")
	switch {
	case err != nil:
		return nil, err
	case choice.Document == nil:
		return nil, refuse(http.StatusOK, "").as(resourceNotFound).pin() // its status is a success there
	}
	c.showChoice(choice)
	h.cfg.Track.Sent(who, k, choice.Document.MD5, choice.Release)
	d := choice.Document
	answer := reading{ResultCode: http.StatusOK, Content: string(content), EncryptedDataKey: d.DataKey, ContentType: d.Type,
		MD5: d.MD5, LastModified: d.Modified.UnixMilli(), Beta: choice.Release == config.BetaName, Success: true}
	if tag, ok := strings.CutPrefix(choice.Release, config.TagPrefix); ok {
		answer.Tag = &tag
	}
	return answer, nil
}
