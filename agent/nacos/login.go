package nacos

import (
	"errors"
	"net/http"

	"github.com/musterhq/muster/client"
)

const (
	// noToken is what servers give where nobody has to log in.
	noToken = "AUTH_DISABLED"
	// awayLife is for how long it is good when none was asked, in seconds: a client logs
	// in again that soon.
	awayLife = 30
)

// login has the servers judge who wants to log in: what clients write there, they write
// as themselves. While none answers whoever asks is let in to what the agent does
// without one.
func (h *Handler) login(c *call) error {
	if h.known.away() {
		return c.letIn()
	}
	a, err := h.cfg.Callers.Relay(c.r.Context(), c.asCaller())
	switch {
	case errors.Is(err, client.ErrUnreachable):
		h.known.missed()
		return c.letIn()
	case err != nil:
		return err
	case a.Status == http.StatusServiceUnavailable: // it does not know yet who may
		return c.letIn()
	}
	if bearer := a.Header.Get("Authorization"); bearer != "" {
		c.w.Header().Set("Authorization", bearer)
	}
	return c.handBack(a)
}

func (c *call) letIn() error {
	c.w.Header().Set("Authorization", "Bearer "+noToken)
	return c.json(struct {
		AccessToken string `json:"accessToken"`
		TokenTTL    int64  `json:"tokenTtl"` // a number, or clients fail
		GlobalAdmin bool   `json:"globalAdmin"`
		Username    string `json:"username"`
	}{noToken, awayLife, true, c.or("username", "nacos")})
}
