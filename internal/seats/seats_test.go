package seats_test

import (
	"testing"

	"github.com/musterhq/muster/internal/seats"
)

func TestSeats(t *testing.T) {
	s := seats.New(3, 2)
	for _, step := range []struct {
		client string
		want   bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"b", false}, {"c", false}} {
		if got := s.Take(step.client); got != step.want {
			t.Errorf("Take(%s) with %d taken = %v, want %v", step.client, s.Taken(), got, step.want)
		}
	}
	s.Leave("a")
	if !s.Take("c") {
		t.Error("Take(c) after a seat was left = false, want true")
	}
	for _, client := range []string{"a", "b", "c"} {
		s.Leave(client)
	}
	if n := s.Taken(); n != 0 {
		t.Errorf("Taken() after all left = %d, want 0", n)
	}
}
