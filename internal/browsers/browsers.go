// Package browsers tells browsers how to take answers that are never pages.
package browsers

import "net/http"

// Tell sets the headers of an answer that a browser is to show nowhere, guess nothing of,
// tell nobody of and, unless the handler says better later, keep no copy of.
func Tell(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}
