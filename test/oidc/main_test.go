// Package oidc_test has people log in at a provider of identities of another make.
//
// It is a module of its own, so that what the provider needs never meets what Muster is
// made of.
package oidc_test

import (
	"flag"
	"os"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(binary.Main(m, "../.."))
}
