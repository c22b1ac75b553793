package config_test

import (
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

func TestSearchLike(t *testing.T) {
	for _, tc := range []struct {
		pattern, dataID string
		want            bool
	}{
		{"a*", "abc", true}, {"*c", "abc", true}, {"a*c", "abc", true}, {"a*b*c", "axbxc", true}, {"*", "a", true},
		{"**", "abc", true}, {"*b*", "abc", true}, {"ab*bc", "abc", false}, {"b*", "abc", false}, {"abc", "abc", true},
		{"a_c", "abc", false}, {"*x*", "abc", false},
	} {
		c := config.New(configtest.NewStore(), config.Config{})
		d := draft("x")
		d.Key = key(tc.dataID)
		publish(t, c, d)
		found, err := c.Search(t.Context(), config.Query{DataID: tc.pattern, Match: config.Like})
		if err != nil || len(found) == 1 != tc.want {
			t.Errorf("search for %q among %q finds %d, %v, want it found: %t", tc.pattern, tc.dataID, len(found), err, tc.want)
		}
	}
}
