package nearest_test

import (
	"testing"

	"github.com/musterhq/muster/internal/nearest"
)

func TestOf(t *testing.T) {
	known := []string{"http", "dns", "data_dir", "zones"}
	for _, c := range []struct{ name, word, want string }{
		{"one letter missing", "zone", "zones"},
		{"two letters swapped", "htpt", "http"},
		{"another case", "DNS", "dns"},
		{"hyphen for underscore", "data-dir", "data_dir"},
		{"nothing alike", "colour", ""},
		{"empty", "", ""},
	} {
		if got := nearest.Of(c.word, known); got != c.want {
			t.Errorf("%s: Of(%q) = %q, want %q", c.name, c.word, got, c.want)
		}
	}
}
