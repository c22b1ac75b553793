package main

import (
	"bytes"
	"crypto/md5" //nolint:gosec // it is what listeners compare contents by
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// collection is which documents there are, as one version of the HTTP API speaks of them.
type collection struct {
	api       string
	namespace string
	documents int
	groups    int
	size      int // bytes of a content
}

// maxSize is what servers take of a content, by their defaults.
const maxSize = 10 << 20

func collectionOf(c *cli.Context) (l collection, err error) {
	l = collection{api: c.String("api"), namespace: c.String("namespace")}
	if err := numbers(c, map[string]*int{"documents": &l.documents, "groups": &l.groups}); err != nil {
		return l, err
	}
	l.size, err = number(c, "size", maxSize)
	return l, err
}

func dataID(n int) string { return fmt.Sprintf("bench-%06d.txt", n) }

// params names the document n; by hold the versions have other names for the same.
func (l collection) params(n int) url.Values {
	v, group, namespace := url.Values{"dataId": {dataID(n)}}, "group", "namespaceId"
	switch l.api {
	case "v1":
		namespace = "tenant"
	case "v3":
		group = "groupName"
	}
	v.Set(group, groupOf(n, l.groups))
	if l.namespace != "" && l.namespace != defaultNamespace {
		v.Set(namespace, l.namespace)
	}
	return v
}

// path returns where documents are read, or written.
func (l collection) path(write bool) string {
	switch {
	case l.api == "v1":
		return "/nacos/v1/cs/configs"
	case l.api == "v2":
		return "/nacos/v2/cs/config"
	case write:
		return "/nacos/v3/admin/cs/config"
	}
	return "/nacos/v3/client/cs/config"
}

// publish gives the document n the content that it has after so many changes.
func (l collection) publish(n int, edition int64) request {
	v := l.params(n)
	v.Set("content", l.content(n, edition))
	v.Set("type", "text")
	return request{method: http.MethodPost, path: l.path(true), body: v.Encode(), mime: mimeForm}
}

func (l collection) get(n int) request {
	return request{method: http.MethodGet, path: l.path(false), query: l.params(n).Encode()}
}

func (l collection) remove(n int) request {
	return request{method: http.MethodDelete, path: l.path(true), query: l.params(n).Encode()}
}

// content begins with the edition, so that whoever reads it knows how new it is.
func (l collection) content(n int, edition int64) string {
	head := fmt.Sprintf("%d of %d\n", edition, n)
	return head + strings.Repeat("x", max(0, l.size-len(head)))
}

// editionOf reads the edition of a content.
func editionOf(content []byte) (int64, bool) {
	head, _, _ := bytes.Cut(content, []byte(" "))
	n, err := strconv.ParseInt(string(head), 10, 64)
	return n, err == nil
}

// stored tells the answer to a document that was published or deleted.
func (l collection) stored(body []byte) bool {
	if l.api == "v1" {
		return string(bytes.TrimSpace(body)) == "true"
	}
	return enveloped(body)
}

// read tells a content that one of ours has.
func (l collection) read(body []byte) bool {
	if l.api == "v1" {
		_, ok := editionOf(body)
		return ok
	}
	return bytes.Contains(body, []byte(" of "))
}

// listen waits until the document n has another content than one, for at most so many
// milliseconds. There is one way of it over HTTP, that of version 1.
func (l collection) listen(n int, content []byte, milliseconds int) request {
	sum := md5.Sum(content) //nolint:gosec // see above
	fields := []string{dataID(n), groupOf(n, l.groups), hex.EncodeToString(sum[:])}
	if l.namespace != "" && l.namespace != defaultNamespace {
		fields = append(fields, l.namespace)
	}
	form := url.Values{"Listening-Configs": {strings.Join(fields, "\x02") + "\x01"}}
	return request{
		method: http.MethodPost, path: "/nacos/v1/cs/configs/listener", body: form.Encode(), mime: mimeForm,
		header: fmt.Sprintf("Long-Pulling-Timeout: %d\r\n", milliseconds),
	}
}

func encode(v map[string][]string) string { return url.Values(v).Encode() }

// unwrapped returns the content in an answer of version 2 or 3, nil when there is none.
func unwrapped(body []byte) []byte {
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil
	}
	var text string
	if json.Unmarshal(answer.Data, &text) == nil {
		return []byte(text)
	}
	var document struct {
		Content string `json:"content"`
	}
	if json.Unmarshal(answer.Data, &document) != nil {
		return nil
	}
	return []byte(document.Content)
}
