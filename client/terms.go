package client

import (
	"net/http"
	"net/url"

	"github.com/musterhq/muster/api"
)

// Terms are what a write depends on. The zero Terms are none.
type Terms struct {
	// IfMatch is the tag at which what is written must stand, or "*": it must be
	// there. The error is ErrConflict otherwise, an *Error with the status 412.
	IfMatch string
	// CreateOnly refuses to write over what is there.
	CreateOnly bool
	// DryRun writes nothing; what is returned would stand.
	DryRun bool
}

// under returns the call with the terms that the caller gave, if any.
func under(r call, on []Terms) call {
	for _, t := range on {
		if r.header == nil {
			r.header = http.Header{}
		}
		if r.query == nil {
			r.query = url.Values{}
		}
		switch {
		case t.IfMatch == "*":
			r.header.Set("If-Match", "*")
		case t.IfMatch != "":
			r.header.Set("If-Match", quote(t.IfMatch))
		}
		if t.CreateOnly {
			r.header.Set("If-None-Match", "*")
		}
		if t.DryRun {
			r.query.Set(api.QueryDryRun, "true")
			continue
		}
		// Told twice, a compare would meet its own first effect.
		r.once = r.once || t.IfMatch != "" || t.CreateOnly
	}
	return r
}
