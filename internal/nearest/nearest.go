// Package nearest guesses which known word a mistyped one stands for.
package nearest

import "strings"

// Most is by how many letters a mistyped word may differ.
const Most = 2

// Of returns the known word that is most like word, in any case, or "" when
// none is within two letters of it.
func Of(word string, known []string) string {
	best, least := "", Most+1
	for _, k := range known {
		if d, near := Distance(word, k); near && d < least {
			best, least = k, d
		}
	}
	return best
}

// Distance returns how many letters must change, come or go to make word into
// known, in any case, and whether that is so few that it may have been meant.
func Distance(word, known string) (letters int, near bool) {
	if apart := len(word) - len(known); apart > Most || apart < -Most {
		return 0, false // no need to count
	}
	d := distance(strings.ToLower(word), strings.ToLower(known))
	return d, d <= Most && d < len(known)
}

// distance returns how many letters must change, come or go to make a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
