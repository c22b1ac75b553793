// Package auth knows who calls: users and their passwords, tokens, and the keys
// that tokens are signed with.
//
// What is known lies in a [Store] that all servers share and is read from its
// snapshots, so a call is identified without asking anybody. An access token is
// a JWT that names the user's epoch: a user who is deleted, gets another
// password or is signed out has another epoch, and every older token is refused
// wherever the new snapshot is shown. What a caller may is not decided here but
// by the access.Policy that a snapshot carries.
//
// Errors tell callers why they are refused as a [*Refused]; no error and no log
// line holds a secret.
package auth
