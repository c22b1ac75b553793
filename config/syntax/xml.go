package syntax

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
)

var xmlPhrases = []phrase{
	{"unexpected EOF", "it ends too early"},
	{"closed by", "an element is closed by the end of another"},
	{"unexpected end element", "an element ends that was not begun"},
	{"entity", "an ampersand begins no entity that is known: write &amp;"},
	{"unquoted or missing", "the value of an attribute is not in quotes"},
	{"without =", "an attribute has no value"},
	{"expected attribute name", "the name of an attribute is expected"},
	{"expected element name", "the name of an element is expected: a < in text is written &lt;"},
	{"expected />", "a slash in an element is not followed by >"},
	{"unescaped <", "a < in a value is written &lt;"},
	{"unescaped ]]>", "]]> in text is written ]]&gt;"},
	{"illegal character", "it has a character that XML does not allow"},
	{"in comments", "a comment holds two dashes"},
	{"sequence", "a comment or CDATA section is not well-formed"},
	{"expected target name", "the name of a processing instruction is expected"},
	{"invalid characters between", "something follows the name in the end of an element"},
	{"invalid XML name", "a name is not well-formed"},
	{"version", "its version is not 1.0"},
}

// entityDeclared finds the general entities that a document type declares.
var entityDeclared = regexp.MustCompile(`<!ENTITY\s+([^\s%]+)\s`)

// checkXML finds a document that is not well-formed. It fetches nothing and
// replaces no entity: that one is declared is all it looks for.
func checkXML(content []byte) *Error {
	dec := xml.NewDecoder(bytes.NewReader(content))
	// The content is text already, whatever its first line says of how it was.
	dec.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	for depth, roots := 0, 0; ; {
		begin := int(dec.InputOffset())
		token, err := dec.Token()
		switch {
		case errors.Is(err, io.EOF) && roots == 0:
			return wrong("it has no element").at(content, len(content))
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return xmlError(err).at(content, int(dec.InputOffset()))
		}
		reason := ""
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > MaxDepth {
				return tooDeep().at(content, begin)
			}
			if depth == 1 {
				roots++
			}
			if roots > 1 {
				reason = "a second element follows the document's"
			} else if twice(t.Attr) {
				reason = "an attribute stands twice in its element"
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && len(bytes.Trim(t, " \t\r\n\ufeff")) > 0 {
				reason = "text stands outside of the document's element"
			}
		case xml.ProcInst:
			if t.Target == "xml" && len(bytes.Trim(content[:begin], "\ufeff")) > 0 {
				reason = "the XML declaration is not at the very beginning"
			}
		case xml.Directive:
			for _, m := range entityDeclared.FindAllSubmatch(t, -1) {
				if dec.Entity == nil {
					dec.Entity = make(map[string]string)
				}
				dec.Entity[string(m[1])] = ""
			}
		}
		if reason != "" {
			return wrong(reason).at(content, begin)
		}
	}
}

func twice(attributes []xml.Attr) bool {
	var seen keys
	for _, a := range attributes {
		if !seen.add(a.Name.Space + " " + a.Name.Local) {
			return true
		}
	}
	return false
}

func xmlError(err error) *Error {
	return wrong(saying(xmlPhrases, err.Error(), "it is not well-formed XML"))
}
