package nacos

import (
	"cmp"
	"errors"
	"path"
	"strings"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos/archive"
)

// importZip publishes the documents of a file, after all of it was found sound.
func (h *Handler) importZip(c *call) (any, error) {
	file, err := c.upload()
	if err != nil {
		return nil, err
	}
	p, err := c.policy()
	if err != nil {
		return nil, err
	}
	name := "namespaceId"
	if c.on == config1 {
		name = "namespace"
	}
	to, ok := c.target(name)
	if !ok {
		return c.notBrought(importNamespace, "invalid namespace")
	}
	if len(file) == 0 {
		return c.notBrought(importEmpty, "there is no file")
	}
	// What is known of the entries takes more memory than the file.
	select {
	case h.reading <- struct{}{}:
		defer func() { <-h.reading }()
	case <-c.r.Context().Done():
		return nil, c.r.Context().Err()
	}
	read, err := archive.Open(file, archive.Limits{Content: config.MaxContent})
	switch {
	case errors.Is(err, archive.ErrMetadata):
		return c.notBrought(importMetadata, err.Error())
	case err != nil:
		return c.notBrought(importUnreadable, err.Error())
	}
	keys, places, unknown := sound(read, to.Namespace)
	if len(keys) == 0 {
		return c.notBrought(importEmpty, "there is no document")
	}
	done, err := h.bring(c, p, keys, func(i int) (config.Draft, error) {
		d := read.Document(places[i])
		content, err := read.Content(places[i])
		return config.Draft{Key: keys[i], Content: content, Type: typeOf(d), App: d.App, Desc: d.Desc, Tags: d.Tags, Keep: true}, err
	})
	if err != nil {
		return nil, err
	}
	done.UnrecognizedCount, done.UnrecognizedData = len(unknown), each(unknown, func(name string) unrecognized { return unrecognized{name} })
	return told{"import success", done}, nil
}

// sound returns the documents of a file whose names may be, with their places, and
// the names of all else.
func sound(read *archive.Reader, namespace string) (keys []config.Key, places []int, unknown []string) {
	unknown = read.Unrecognized
	for i := range read.Len() {
		d := read.Document(i)
		k := config.Key{Namespace: namespace, Group: d.Group, DataID: d.DataID}
		if k.Validate() != nil {
			unknown = append(unknown, shortened(d.Group+"/"+d.DataID))
			continue
		}
		keys, places = append(keys, k), append(places, i)
	}
	return keys, places, unknown
}

// typeOf returns the type of a document of a file, which its name ends in where
// the file does not tell.
func typeOf(d archive.Document) string {
	suffix := strings.ToLower(strings.TrimPrefix(path.Ext(d.DataID), "."))
	switch suffix {
	case "yml":
		suffix = "yaml"
	case "htm":
		suffix = "html"
	}
	return cmp.Or(d.Type, suffix)
}
