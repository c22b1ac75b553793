package configtest_test

import (
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

func TestStore(t *testing.T) {
	configtest.TestStore(t, func(*testing.T) config.Store { return configtest.NewStore() })
}
