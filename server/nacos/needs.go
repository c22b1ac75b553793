package nacos

import (
	"net/http"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/internal/nacoswire"
)

// What operations ask of those who call them. Where a right depends on what a call
// names, it is checked where the operation learns the name: see [call.may].
var (
	anybody   = access.Need{Level: access.Open}
	anyLogin  = access.Need{Level: access.Login}
	onlyPeers = access.Need{Level: access.Peer}

	readsNaming    = access.Reads(access.Naming, "")
	readsService   = access.Reads(access.Naming, "service")
	writesService  = access.Writes(access.Naming, "service")
	readsServices  = access.Reads(access.Naming, "namespace")
	readsDocument  = access.Reads(access.Config, "document")
	writesDocument = access.Writes(access.Config, "document")
	readsDocuments = access.Reads(access.Config, "namespace")
	readsEach      = access.Reads(access.Config, "each")
	writesEach     = access.Writes(access.Config, "each")
	administers    = access.Writes(access.Admin, "")
	inspects       = access.Reads(access.Admin, "")
)

// enter lets the caller in, as far as that does not depend on what the call names.
func (c *call) enter() error {
	c.caller = access.From(c.r.Context())
	c.caller.Operation = "nacos" + c.id + c.on.id
	if c.writes && fromAnotherSite(c.r) {
		return refuse(http.StatusForbidden, "a page of another origin must not write")
	}
	if err := c.h.cfg.Gate.Enter(c.r.Context(), c.caller, c.asks, c.credentials); err != nil {
		if turnedAway(err) == nil { // nobody can tell now
			return notNow("%s", err)
		}
		return err
	}
	if err := c.limited(""); err != nil {
		return err
	}
	if c.asks.Level == access.Right && c.asks.Where != "" {
		return nil
	}
	return c.caller.CheckNeed(c.asks, "", "")
}

// fromAnotherSite reports whether a browser makes a call for a page of another site. Calls
// with GET and HEAD, as for an image, are let pass where others are looked at.
func fromAnotherSite(r *http.Request) bool {
	asPost := *r
	asPost.Method = http.MethodPost
	return http.NewCrossOriginProtection().Check(&asPost) != nil
}

// may returns nil if the caller may do what the operation does to what is in a group; in
// all groups where that is empty, in all namespaces likewise.
func (c *call) may(namespace, group string) error {
	if err := c.caller.CheckNeed(c.asks, namespace, group); err != nil || c.counted || namespace == "" {
		return err
	}
	c.counted = true
	return c.limited(namespace)
}

// limited counts a call by who makes it and, unless that is empty, by the namespace that it is
// about.
func (c *call) limited(namespace string) error {
	err := c.h.limited(c.caller, namespace)
	if err != nil {
		c.w.Header().Set("Retry-After", "1")
	}
	return err
}

// limited returns a [*Limited] when a call is one too many.
func (h *Handler) limited(caller *access.Caller, namespace string) error {
	if h.cfg.Limit == nil {
		return nil
	}
	if err := h.cfg.Limit(caller, namespace); err != nil {
		return &Limited{err}
	}
	return nil
}

// Limited is that a call is more than limits allow.
type Limited struct{ error }

// mayEach is may for several documents.
func (c *call) mayEach(keys []config.Key) error {
	c.caller.ChecksEach()
	for _, k := range keys {
		if err := c.may(k.Namespace, k.Group); err != nil {
			return err
		}
	}
	return nil
}

// maySearch is may for what a search finds. A group in which * stands for any text is all
// of them.
func (c *call) maySearch(q config.Query) error {
	if strings.Contains(q.Group, "*") {
		q.Group = ""
	}
	return c.may(q.Namespace, q.Group)
}

// unchecked refuses the answer of an operation that asks for a right and has not checked
// it: a mistake of ours must not show what nobody may see.
func (c *call) unchecked() error {
	if c.caller.Checked() || c.asks.Level != access.Right {
		return nil
	}
	c.h.log.Error("an operation checks no right", "operation", c.caller.Operation)
	return c.caller.Refuse("nothing says who may")
}

// credentials returns what a call shows of who makes it. The first of these counts: a
// token of the header Authorization, one of the parameter or header accessToken, user and
// password as parameters or headers. Nothing may be given twice, but as the same.
func (c *call) credentials() (access.Credentials, error) {
	shown := access.Credentials{From: c.caller.From, Certificate: access.Certificate(c.r.TLS)}
	bearer, err := access.Bearer(c.r.Header)
	if err != nil {
		return shown, err
	}
	parameter, header := c.value(paramToken), c.r.Header.Values(paramToken)
	if c.twice || len(header) > 1 {
		return shown, &access.Refused{Reason: access.ReasonTwice}
	}
	for _, token := range append(header, parameter, bearer) {
		if token = strings.TrimSpace(token); token == "" {
			continue
		}
		if shown.Token != "" && shown.Token != token {
			return shown, &access.Refused{Reason: access.ReasonTwice}
		}
		shown.Token = token
	}
	if shown.Token == "" {
		shown.User, shown.Password = c.said("username"), c.said("password")
		if shown.Password == "" { // a name alone is that of an author
			shown.User = ""
		}
	}
	return shown, nil
}

// paramToken is the parameter, or header, that a token is in.
const paramToken = "accessToken"

// given counts how often a text of encoded parameters names one.
func given(encoded, name string) (n int) {
	for pair := range strings.SplitSeq(encoded, "&") {
		before, _, _ := strings.Cut(pair, "=")
		if nacoswire.Decode(before) == name {
			n++
		}
	}
	return n
}

// turnedAway words why a caller was not let in: clients know no other status than 403.
func turnedAway(err error) *refusal {
	switch err := err.(type) { //nolint:errorlint // [outward] has unwrapped it
	case *access.Denied:
		return refusePage(http.StatusForbidden, "Code: 403, Message: authorization failed!. %s", err)
	case *access.Refused:
		words := "token invalid!"
		switch err.Reason {
		case access.ReasonExpired:
			words = "token expired!"
		case access.ReasonUnknown:
			words = "user not found!"
		}
		return refusePage(http.StatusForbidden, "Code: 401, Message: %s. %s", words, err)
	}
	return nil
}
