package registrytest_test

import (
	"testing"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

func TestStore(t *testing.T) {
	registrytest.TestStore(t, func(*testing.T) registry.Store { return registrytest.NewStore() })
}
