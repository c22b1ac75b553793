package nacoswire

import "strings"

// Separators of a listener's text.
const (
	wordEnd = "\x02"
	lineEnd = "\x01"
)

// maxListened bounds the documents of one call.
const maxListened = 10000

// Listened is a document as a listening client knows it.
type Listened struct {
	DataID, Group string
	MD5           string // empty: the client has none
	Tenant        string // as sent, empty for none: the client's key is what it wrote
}

// ParseListened reads dataId, group, md5 and perhaps a tenant for each document. What
// follows the last line is ignored, as Nacos ignores it. It reports false for a text
// that is empty, malformed, or names too many.
func ParseListened(text string) ([]Listened, bool) {
	// The form was decoded once; clients may have encoded twice. The clone frees
	// the body, which is far larger than what a poll is held with.
	text = strings.Clone(Decode(text))
	n := strings.Count(text, lineEnd)
	if strings.TrimSpace(text) == "" || n > maxListened {
		return nil, false
	}
	all := make([]Listened, 0, n)
	for line := range strings.SplitSeq(text, lineEnd) {
		if len(all) == n {
			break
		}
		words := strings.Split(line, wordEnd)
		if len(words) < 3 || len(words) > 4 {
			return nil, false
		}
		l := Listened{DataID: words[0], Group: words[1], MD5: words[2]}
		if len(words) == 4 {
			l.Tenant = words[3]
		}
		all = append(all, l)
	}
	return all, true
}

// Changed returns the line that names a document as the client wrote it: the tenant
// appears if, and only if, it was sent. The answer is such lines, query-escaped.
func Changed(dataID, group, tenant string) string {
	line := dataID + wordEnd + group
	if strings.TrimSpace(tenant) != "" {
		line += wordEnd + tenant
	}
	return line + lineEnd
}
