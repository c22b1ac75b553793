// Package archivetest makes the zip files, and the forms that carry them, of tests.
package archivetest

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
)

// Zip makes a file of names and texts, one after the other, as Java does: deflated,
// with lengths after each entry.
func Zip(tb testing.TB, texts ...string) string {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for pair := range slices.Chunk(texts, 2) {
		w, err := z.Create(pair[0])
		if err == nil {
			_, err = io.WriteString(w, pair[1])
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// Entries returns the names and texts of a file as one text, ordered by name.
func Entries(tb testing.TB, file string) string {
	tb.Helper()
	z, err := zip.NewReader(strings.NewReader(file), int64(len(file)))
	if err != nil {
		tb.Fatalf("%v in %q", err, file)
	}
	var all []string
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			tb.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s=%q", f.Name, text))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// Form makes a form of names and values, one after the other; what is named file
// is one.
func Form(tb testing.TB, fields ...string) (contentType, body string) {
	tb.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for pair := range slices.Chunk(fields, 2) {
		var w io.Writer
		var err error
		if pair[0] == "file" {
			w, err = form.CreateFormFile("file", "x.zip")
		} else {
			w, err = form.CreateFormField(pair[0])
		}
		if err == nil {
			_, err = io.WriteString(w, pair[1])
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		tb.Fatal(err)
	}
	return form.FormDataContentType(), b.String()
}
