package nacos

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
)

// Login is the session of a client that has logged in.
type Login struct {
	Token string
	User  string
	Life  time.Duration
	Admin bool
}

// login is how a session is answered.
type login struct {
	AccessToken string `json:"accessToken"`
	TokenTTL    int64  `json:"tokenTtl"` // seconds; a number, or clients fail
	GlobalAdmin bool   `json:"globalAdmin"`
	Username    string `json:"username"`
}

// What is answered where nobody has to log in, as Nacos does.
const (
	noToken  = "AUTH_DISABLED"
	tokenTTL = 18000
)

// wrongPassword is what clients of Nacos look for.
const wrongPassword = "User not found! Please check user exist or password is right!"

// LoginFunc returns the session of who knows the password of a user; the error is an
// *[access.Refused], or why logins are not judged now.
type LoginFunc func(ctx context.Context, user, password string) (Login, error)

// login answers everybody where nobody has to log in, and otherwise those that name a
// user with its password. Clients know no other refusal than 403, so a login that is to
// be tried later is one too, with the reason.
func (h *Handler) login(c *call) (any, error) {
	if h.cfg.Login == nil {
		c.w.Header().Set("Authorization", "Bearer "+noToken)
		return login{noToken, tokenTTL, true, c.or("username", "nacos")}, nil
	}
	c.w.Header().Set("Cache-Control", "no-store")
	got, err := h.cfg.Login(c.r.Context(), c.value("username"), c.params["password"])
	if refused, ok := errors.AsType[*access.Refused](err); ok {
		audit.From(c.r.Context()).Because(refused.Error())
		why := wrongPassword
		if refused.Reason == access.ReasonBusy {
			why = refused.Error()
		}
		return nil, refuse(http.StatusForbidden, "%s", why)
	}
	if err != nil {
		return nil, err
	}
	c.w.Header().Set("Authorization", "Bearer "+got.Token)
	return login{got.Token, int64(got.Life / time.Second), got.Admin, got.User}, nil
}
