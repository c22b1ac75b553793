package archive

import (
	"archive/zip"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Layout is one of the two that there are.
type Layout int

// The layouts: Old is that of Nacos up to 2.0.3, which later ones read too.
const (
	New Layout = iota
	Old
)

// Writer writes a file.
type Writer struct {
	zip    *zip.Writer
	layout Layout
	at     time.Time
	all    []Document
}

// NewWriter returns a Writer of a file whose entries bear a date.
func NewWriter(w io.Writer, layout Layout, at time.Time) *Writer {
	return &Writer{zip: zip.NewWriter(w), layout: layout, at: at}
}

// Add adds a document.
func (w *Writer) Add(d Document, content []byte) error {
	if !Carries(d.Group, d.DataID) {
		return fmt.Errorf("document %s cannot be in a zip file", d.name())
	}
	w.all = append(w.all, d)
	return w.entry(d.name(), content)
}

func (w *Writer) entry(name string, content []byte) error {
	to, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: w.at})
	if err != nil {
		return err
	}
	_, err = to.Write(content)
	return err
}

// Close adds what is known of the documents, and ends the file.
func (w *Writer) Close() error {
	name, text, err := w.metadata()
	if err != nil {
		return err
	}
	if text != "" {
		if err := w.entry(name, []byte(text)); err != nil {
			return err
		}
	}
	return w.zip.Close()
}

func (w *Writer) metadata() (name, text string, err error) {
	if w.layout == Old {
		var b strings.Builder
		for _, d := range w.all {
			if d.App != "" {
				b.WriteString(d.oldKey() + "=" + d.App + "\r\n")
			}
		}
		return oldMetadata, b.String(), nil
	}
	items := make([]item, 0, len(w.all))
	for _, d := range w.all {
		items = append(items, item{d.App, strings.Join(d.Tags, ","), d.DataID, d.Desc, d.Group, d.Type})
	}
	b, err := yaml.Marshal(metadata{items})
	return newMetadata, string(b), err
}

// metadata is the text of the new layout.
type metadata struct {
	Metadata []item `yaml:"metadata"`
}

type item struct {
	AppName    string `yaml:"appName"`
	ConfigTags string `yaml:"configTags"`
	DataID     string `yaml:"dataId"`
	Desc       string `yaml:"desc"`
	Group      string `yaml:"group"`
	Type       string `yaml:"type"`
}
