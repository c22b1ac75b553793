package nacos

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
)

// Bounds of a form that carries a file.
const (
	maxFormParts = 32
	maxFormField = 64 << 10 // bytes
)

// upload returns the file of a form, nil when there is none. The other fields
// become parameters, where the query has none of that name.
func (c *call) upload() (file []byte, err error) {
	kind, values, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || values["boundary"] == "" {
		return nil, nil
	}
	body, err := c.boundedBody()
	if err != nil {
		return nil, err
	}
	parts := multipart.NewReader(body, values["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		switch {
		case err == io.EOF: //nolint:errorlint // wrapped, it is of a form that does not end
			return file, nil
		case err != nil:
			return nil, c.bodyError(err)
		case n == maxFormParts:
			return nil, refuse(http.StatusBadRequest, "more than %d parts of a form", maxFormParts)
		case part.FormName() == "file" && file != nil:
			return nil, refuse(http.StatusBadRequest, "there is more than one file")
		}
		if part.FormName() == "file" {
			if file, err = io.ReadAll(part); err != nil {
				return nil, c.bodyError(err)
			}
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, maxFormField+1))
		switch {
		case err != nil:
			return nil, c.bodyError(err)
		case len(value) > maxFormField:
			return nil, tooLong(shortened(part.FormName()), maxFormField)
		case !c.has(part.FormName()):
			c.params[part.FormName()] = string(value)
		}
	}
}

// selected is a document to clone, under the names of all versions.
type selected struct {
	CfgID        json.Number `json:"cfgId"`
	ConfigID     json.Number `json:"configId"`
	DataID       string      `json:"dataId"`
	TargetDataID string      `json:"targetDataId"`
	Group        string      `json:"group"`
	TargetGroup  string      `json:"targetGroupName"`
}

const maxSelected = 10000

// selection reads the documents to clone from a JSON body.
func (c *call) selection() ([]selected, error) {
	var b bytes.Buffer
	if kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type")); kind == "application/json" {
		if err := c.copyBody(&b); err != nil {
			return nil, err
		}
	}
	if strings.TrimSpace(b.String()) == "" {
		return nil, nil
	}
	var all []selected
	if err := json.Unmarshal(b.Bytes(), &all); err != nil {
		return nil, caused(http.StatusBadRequest, "the body is no JSON list of documents")
	}
	if len(all) > maxSelected {
		return nil, caused(http.StatusBadRequest, "more than %d documents", maxSelected)
	}
	return all, nil
}
