package api

import "time"

// Paths of who may log in, and what they may. All but PathLogin ask for a login, and
// most of them for an administrator.
const (
	PathLogin    = "/v1/auth/login"
	PathOIDC     = "/v1/auth/oidc"
	PathWhoAmI   = "/v1/auth/whoami"
	PathUsers    = "/v1/auth/users"
	PathUser     = "/v1/auth/users/{name}"
	PathPassword = "/v1/auth/users/{name}/password"
	PathSignOut  = "/v1/auth/users/{name}/sign-out"
	PathRoles    = "/v1/auth/roles"
	PathRole     = "/v1/auth/roles/{name}"
	PathTSIGs    = "/v1/auth/tsig"
	PathTSIG     = "/v1/auth/tsig/{key}"
	PathRevoked  = "/v1/auth/revoked-certificates"
	PathRevoke   = "/v1/auth/revoked-certificates/{certificate}"
	PathTokens   = "/v1/auth/tokens"
	PathToken    = "/v1/auth/tokens/{id}"
	PathKeys     = "/v1/auth/keys"
	PathCan      = "/v1/auth/can"
	PathWhoCan   = "/v1/auth/who-can"
)

// Login is a name and a password.
type Login struct {
	User     string `json:"user" maxLength:"64"`
	Password string `json:"password" maxLength:"1024"`
}

// Session is what a login is answered with.
type Session struct {
	Token   string    `json:"token" doc:"Goes into the header Authorization, after Bearer"`
	User    string    `json:"user"`
	Roles   []string  `json:"roles" nullable:"false"`
	Expires time.Time `json:"expires"`
}

// OIDC is how to log in at a provider of OpenID Connect: with the code flow and PKCE, to
// a redirect at loopback.
type OIDC struct {
	Issuer        string   `json:"issuer" format:"uri"`
	ClientID      string   `json:"clientId"`
	Authorization string   `json:"authorization" format:"uri" doc:"The authorization endpoint of the provider"`
	Scopes        []string `json:"scopes" nullable:"false"`
}

// OIDCLogin is what the provider sent back, and what it is to be checked with.
type OIDCLogin struct {
	Code     string `json:"code" minLength:"1" maxLength:"4096" doc:"The code of the provider"`
	Verifier string `json:"verifier" minLength:"43" maxLength:"128" doc:"The code verifier (RFC 7636) of which the provider knows the challenge"`
	Nonce    string `json:"nonce" minLength:"16" maxLength:"256" doc:"The nonce that the provider was asked with"`
	Redirect string `json:"redirect" maxLength:"1024" doc:"Where the provider sent the code, at loopback" example:"http://127.0.0.1:41001/callback"`
}

// Subject is who makes a call.
type Subject struct {
	Type  string   `json:"type" doc:"user, agent or server; anonymous while nobody has to log in"`
	Name  string   `json:"name"`
	Roles []string `json:"roles" nullable:"false"`
}

// User is somebody who can log in.
type User struct {
	Name    string    `json:"name"`
	Roles   []string  `json:"roles" nullable:"false"`
	Created time.Time `json:"created"`
	Issuer  string    `json:"issuer,omitempty" doc:"The provider at which it logs in; absent for a user with a password"`
	Display string    `json:"display,omitempty" doc:"What that provider shows it by"`
}

// UserSpec makes a user, or changes one.
type UserSpec struct {
	Password string   `json:"password,omitempty" maxLength:"1024" doc:"Of a new user, at least 8 bytes; another one ends all sessions of the user"`
	Roles    []string `json:"roles,omitempty" doc:"All roles of the user; as they are when absent"`
}

// PasswordChange gives a user another password.
type PasswordChange struct {
	Current  string `json:"current,omitempty" maxLength:"1024" doc:"The one that goes; administrators need not know that of another user"`
	Password string `json:"password" maxLength:"1024" doc:"At least 8 bytes"`
}

// UserList is all users.
type UserList struct {
	Users []User `json:"users" nullable:"false"`
}

// AccessRule allows something to the holders of a role, or denies it.
type AccessRule struct {
	Kind      string `json:"kind" doc:"naming, config, dns or admin; * is the first three" example:"naming"`
	Namespace string `json:"namespace" doc:"Of one name, of all that begin with what stands before a *, or * for all; of dns a zone" example:"dev"`
	Group     string `json:"group" doc:"Likewise" example:"*"`
	Verbs     string `json:"verbs" doc:"r, w or rw" example:"rw"`
	Deny      bool   `json:"deny,omitempty" doc:"It denies what others allow"`
}

// Role is what its holders may.
type Role struct {
	Name  string       `json:"name" readOnly:"true"`
	Rules []AccessRule `json:"rules" nullable:"false"`
}

// RoleSpec says what a role allows.
type RoleSpec struct {
	Rules []AccessRule `json:"rules" nullable:"false" maxItems:"500"`
}

// RoleList is all roles that were made; admin and reader are built in.
type RoleList struct {
	Roles []Role `json:"roles" nullable:"false"`
}

// Token lets an agent, or a program that cannot log in, call.
type Token struct {
	ID      string     `json:"id"`
	Subject string     `json:"subject" doc:"Id of the agent that it is for; * for any"`
	Roles   []string   `json:"roles" nullable:"false"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty" doc:"Never when absent"`
	Token   string     `json:"token,omitempty" doc:"The token itself, in the answer to its making and never again"`
}

// RevokedCertificate is that certificates let nobody in any more.
type RevokedCertificate struct {
	Certificate string    `json:"certificate" doc:"Serial number of one in hex, or agent/ID or server/NAME for all of that subject" example:"agent/web-1"`
	Created     time.Time `json:"created"`
}

// RevokedList is all certificates that were revoked.
type RevokedList struct {
	Certificates []RevokedCertificate `json:"certificates" nullable:"false"`
}

// TSIG says what a key may with which messages of DNS are signed.
type TSIG struct {
	Name    string    `json:"name" doc:"Of the key, without the dot at its end; - is who signs with none" example:"registrar"`
	Roles   []string  `json:"roles" nullable:"false"`
	Created time.Time `json:"created"`
}

// TSIGSpec says which roles a key of DNS has.
type TSIGSpec struct {
	Roles []string `json:"roles" maxItems:"100" nullable:"false" doc:"All of them"`
}

// TSIGList is all keys of DNS that have roles.
type TSIGList struct {
	Keys []TSIG `json:"keys" nullable:"false"`
}

// TokenSpec makes a token.
type TokenSpec struct {
	Subject string   `json:"subject" maxLength:"64" doc:"Id of the agent that it is for; * for any"`
	Roles   []string `json:"roles,omitempty" doc:"What it may, within what agents may"`
	Seconds int64    `json:"seconds,omitempty" minimum:"1" doc:"How long it lives; forever when absent"`
}

// TokenList is all tokens.
type TokenList struct {
	Tokens []Token `json:"tokens" nullable:"false"`
}

// SigningKey is a key that sessions are signed with.
type SigningKey struct {
	ID      string     `json:"id"`
	Created time.Time  `json:"created"`
	Begins  time.Time  `json:"begins" doc:"When it begins to sign"`
	Ends    *time.Time `json:"ends,omitempty" doc:"When what it signed is refused; absent for the newest"`
}

// KeyList is all signing keys.
type KeyList struct {
	Keys []SigningKey `json:"keys" nullable:"false"`
}

// Decision is whether somebody may do something.
type Decision struct {
	Subject string `json:"subject" example:"user ann"`
	Token   string `json:"token,omitempty" doc:"Id of the token by which an agent may; absent for its certificate"`
	Allowed bool   `json:"allowed"`
	Why     string `json:"why" doc:"The role and the rule that decide" example:"role dev: allow rw naming dev/*"`
}

// DecisionList is who may do something.
type DecisionList struct {
	Decisions []Decision `json:"decisions" nullable:"false"`
}
