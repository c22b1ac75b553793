package tally

import "testing"

// Each place holds the numbers from its own to below the next.
func TestPlaces(t *testing.T) {
	for _, digits := range []int{1, 7, 11} {
		s := Scale{Digits: digits}
		last := -1
		for number := range uint64(1 << 16) {
			p := s.place(number)
			if p < last || p > last+1 {
				t.Fatalf("%d digits: %d is at %d, behind %d", digits, number, p, last)
			}
			if p > last && s.at(p) != number {
				t.Fatalf("%d digits: place %d begins at %d, want %d", digits, p, s.at(p), number)
			}
			last = p
		}
		if p := s.place(1<<64 - 1); s.place(s.at(p)) != p || p <= last {
			t.Errorf("%d digits: the largest number is at %d", digits, p)
		}
	}
}
