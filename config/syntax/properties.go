package syntax

import "strings"

// checkProperties finds what java.util.Properties does not load: an escape of a
// character without its four digits. Anything else is a key, with a value or not.
func checkProperties(content []byte) *Error {
	text := string(content)
	for i := 0; i < len(text); {
		i += len(text[i:]) - len(strings.TrimLeft(text[i:], " \t\f\r\n"))
		if i < len(text) && (text[i] == '#' || text[i] == '!') {
			// A backslash at the end of a comment does not prolong it.
			for i < len(text) && text[i] != '\n' && text[i] != '\r' {
				i++
			}
			continue
		}
		for ; i < len(text) && text[i] != '\n' && text[i] != '\r'; i++ {
			if text[i] != '\\' {
				continue
			}
			if i++; i < len(text) && text[i] == 'u' && !fourDigits(text[i+1:]) {
				return wrong(`\u is not followed by four hexadecimal digits`).at(content, i-1)
			}
			if strings.HasPrefix(text[min(i, len(text)):], "\r\n") {
				i++ // one end of line, and the line goes on
			}
		}
	}
	return nil
}

func fourDigits(text string) bool {
	return len(text) >= 4 && strings.Trim(text[:4], "0123456789abcdefABCDEF") == ""
}
