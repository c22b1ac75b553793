package archive

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What callers branch on.
var (
	ErrUnreadable = errors.New("is no zip file that can be read whole")
	ErrMetadata   = errors.New("the metadata is illegal")
)

// Limits bound what is read; counted is what comes out, whatever a file declares.
type Limits struct {
	Entries  int   // 0: 120,000
	Content  int64 // bytes of one document, 0: 10 MiB
	Contents int64 // bytes of all, 0: 256 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Entries <= 0 {
		l.Entries = 120000
	}
	if l.Content <= 0 {
		l.Content = 10 << 20
	}
	if l.Contents <= 0 {
		l.Contents = 256 << 20
	}
	return l
}

// Words for what has no place, as Nacos has them: the metadata does not name it,
// or the file has no such entry.
const (
	notInMetadata = "未在元数据中找到: "
	notInFile     = "未在文件中找到: "
)

// Reader is a file that was read whole once and found sound.
type Reader struct {
	// Unrecognized names what is in the file or in its metadata and is no document.
	Unrecognized []string

	documents []Document
	files     []*zip.File // of the documents
	limits    Limits
}

// ofMuster is the entry by which the archives of our own API are known.
const ofMuster = "muster.json"

// Open checks a file: that it ends, that each content is what its checksum says
// and within the limits, and that no document is in it twice.
func Open(b []byte, limits Limits) (*Reader, error) {
	r := &Reader{limits: limits.withDefaults()}
	// Before all entries are in memory; one of another file within counts as well.
	if bytes.Count(b, []byte("PK\x01\x02")) > r.limits.Entries {
		return nil, fmt.Errorf("more than %d entries: %w", r.limits.Entries, ErrUnreadable)
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	var told *zip.File
	seen := map[string]bool{}
	left := r.limits.Contents
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") { // a folder
			continue
		}
		if seen[f.Name] {
			return nil, fmt.Errorf("entry %q is there twice: %w", f.Name, ErrUnreadable)
		}
		seen[f.Name] = true
		if f.Name == ofMuster {
			return nil, fmt.Errorf("it is an archive of Muster, which brings history too: import it by /v1/configs-import or `muster config import`: %w", ErrUnreadable)
		}
		n, err := r.copy(io.Discard, f)
		if err != nil {
			return nil, err
		}
		if left -= n; left < 0 {
			return nil, fmt.Errorf("all entries are over %d bytes: %w", r.limits.Contents, ErrUnreadable)
		}
		if f.Name == oldMetadata || f.Name == newMetadata {
			if told != nil {
				return nil, fmt.Errorf("both %s and %s are there: %w", oldMetadata, newMetadata, ErrMetadata)
			}
			told = f
			continue
		}
		r.place(f)
	}
	return r, r.tell(told)
}

// place finds out which document an entry is.
func (r *Reader) place(f *zip.File) {
	group, dataID, ok := strings.Cut(f.Name, "/")
	if !ok || !Carries(group, dataID) {
		r.Unrecognized = append(r.Unrecognized, shortened(f.Name))
		return
	}
	r.documents = append(r.documents, Document{Group: group, DataID: dataID})
	r.files = append(r.files, f)
}

// shortened keeps names of nothing from filling an answer.
func shortened(name string) string {
	const most = 512
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}

// copy writes an entry to w and returns its length. An entry that is longer than
// it says ends there, and so does one that is encrypted, or compressed in a way
// that nobody knows.
func (r *Reader) copy(w io.Writer, f *zip.File) (int64, error) {
	if f.Flags&1 != 0 {
		return 0, fmt.Errorf("entry %q is encrypted: %w", f.Name, ErrUnreadable)
	}
	from, err := f.Open()
	if err != nil {
		return 0, fmt.Errorf("entry %q: %w: %w", f.Name, ErrUnreadable, err)
	}
	defer from.Close()
	n, err := io.Copy(w, io.LimitReader(from, r.limits.Content+1))
	if err != nil {
		return n, fmt.Errorf("entry %q: %w: %w", f.Name, ErrUnreadable, err)
	}
	if n > r.limits.Content {
		return n, fmt.Errorf("entry %q is over %d bytes: %w", f.Name, r.limits.Content, ErrUnreadable)
	}
	return n, nil
}

// Len returns how many documents there are.
func (r *Reader) Len() int { return len(r.documents) }

// Document returns the document at a place.
func (r *Reader) Document(i int) Document { return r.documents[i] }

// Content returns the content of the document at a place.
func (r *Reader) Content(i int) ([]byte, error) {
	var b bytes.Buffer
	_, err := r.copy(&b, r.files[i])
	return b.Bytes(), err
}

// tell reads what is known of the documents.
func (r *Reader) tell(f *zip.File) error {
	if f == nil {
		return nil
	}
	var b bytes.Buffer
	if _, err := r.copy(&b, f); err != nil {
		return err
	}
	if f.Name == oldMetadata {
		return r.tellOld(b.String())
	}
	return r.tellNew(b.Bytes())
}

// tellOld reads lines key=value, whatever they end in.
func (r *Reader) tellOld(text string) error {
	apps := map[string]string{}
	for line := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == '\r' || c == '\n' }) {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("line %.64q is no property: %w", line, ErrMetadata)
		}
		apps[key] = value
	}
	for i, d := range r.documents {
		r.documents[i].App = apps[d.oldKey()]
	}
	return nil
}

// tellNew reads the new layout, in which a document must be told of.
func (r *Reader) tellNew(text []byte) error {
	var all metadata
	if err := yaml.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%w: it is no YAML that fits", ErrMetadata) // the parser's error quotes the text
	}
	told := make(map[string]item, len(all.Metadata))
	var names []string
	for _, i := range all.Metadata {
		if i.DataID == "" || i.Group == "" || i.Type == "" {
			return fmt.Errorf("dataId, group or type is missing: %w", ErrMetadata)
		}
		name := i.Group + "/" + i.DataID
		if _, twice := told[name]; twice {
			return fmt.Errorf("document %.128q is told of twice: %w", name, ErrMetadata)
		}
		told[name] = i
		names = append(names, name)
	}
	var documents []Document
	var files []*zip.File
	for i, d := range r.documents {
		known, ok := told[d.name()]
		if !ok {
			r.Unrecognized = append(r.Unrecognized, notInMetadata+d.name())
			continue
		}
		delete(told, d.name())
		d.Type, d.App, d.Desc = known.Type, known.AppName, known.Desc
		for tag := range strings.SplitSeq(known.ConfigTags, ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				d.Tags = append(d.Tags, tag)
			}
		}
		documents, files = append(documents, d), append(files, r.files[i])
	}
	for _, name := range names {
		if _, missing := told[name]; missing {
			r.Unrecognized = append(r.Unrecognized, notInFile+shortened(name))
		}
	}
	r.documents, r.files = documents, files
	return nil
}
