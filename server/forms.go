package server

import (
	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/auth"
)

// CheckRevoked returns what is wrong with how certificates are named that are to be refused,
// nil if nothing is: who sends it can say so before.
func CheckRevoked(which string) error {
	_, err := auth.CleanRevoked(which)
	return err
}

// CheckRule does so for a rule of a role.
func CheckRule(r api.AccessRule) error {
	return access.Rule{Kind: access.Kind(r.Kind), Namespace: r.Namespace, Group: r.Group, Verbs: r.Verbs, Deny: r.Deny}.Check()
}
