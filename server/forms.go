package server

import "github.com/musterhq/muster/auth"

// CheckRevoked returns what is wrong with how certificates are named that are to be refused,
// nil if nothing is: who sends it can say so before.
func CheckRevoked(which string) error {
	_, err := auth.CleanRevoked(which)
	return err
}
