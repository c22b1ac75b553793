// Package masked takes secrets out of what is shown.
package masked

import (
	"net/url"
	"regexp"
	"strings"
)

// token is what tokens look like: those that are looked up, and those that are signed (JWT).
var token = regexp.MustCompile(`(mst_)[0-9A-Za-z_-]{43}|(eyJ)[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+`)

// Tokens returns a text without the tokens that stand in it, as where somebody named one in
// place of its id.
func Tokens(text string) string {
	if !strings.Contains(text, "mst_") && !strings.Contains(text, "eyJ") {
		return text
	}
	return token.ReplaceAllString(text, "${1}${2}***")
}

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
