// Package masked takes secrets out of what is shown.
package masked

import (
	"net/url"
	"strings"
)

// URL returns a text that is to be a URL without what may be a user and a password in
// it, whether or not it is one.
func URL(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "", text
	} else {
		scheme += "://"
	}
	end := strings.IndexAny(rest, "/?#")
	if _, err := url.Parse(text); err != nil || end < 0 {
		end = len(rest) // a password may hold what ends a host
	}
	if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
		return scheme + "***@" + rest[at+1:]
	}
	return text
}
