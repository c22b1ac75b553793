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

func TestManySeats(t *testing.T) {
	s := seats.New(10, 6)
	for _, step := range []struct {
		client string
		n      int
		want   bool
	}{{"a", 4, true}, {"a", 3, false}, {"a", 2, true}, {"b", 5, false}, {"b", 4, true}, {"c", 1, false}} {
		if got := s.TakeMany(step.client, step.n); got != step.want {
			t.Errorf("TakeMany(%s, %d) with %d taken = %v, want %v", step.client, step.n, s.Taken(), got, step.want)
		}
	}
	s.LeaveMany("a", 5)
	s.Leave("a")
	s.LeaveMany("b", 4)
	if n := s.Taken(); n != 0 {
		t.Errorf("Taken() after all left = %d, want 0", n)
	}
}
