package lab

import (
	"fmt"
	"math"
	"testing"
)

// critical are the values of chi-square that a fair draw exceeds once in a million,
// by degrees of freedom.
var critical = map[int]float64{1: 23.93, 2: 27.63, 3: 30.66, 4: 33.38, 7: 40.52, 9: 44.81, 11: 48.87, 18: 61.91, 19: 63.68}

// WantShares fails the test when counts are off the shares that weights ask for,
// beyond what chance does once in a million times. It returns how far they are. Counts
// must be of independent draws.
func WantShares(tb testing.TB, what string, counts []int, weights []float64) (x2 float64) {
	tb.Helper()
	x2 = ChiSquare(counts, weights)
	limit, known := critical[len(weights)-1]
	if !known {
		tb.Fatalf("no critical value for %d degrees of freedom", len(weights)-1)
	}
	text := fmt.Sprintf("%s: %v of weights %v, X2 = %.2f, at most %.2f", what, counts, weights, x2, limit)
	if x2 > limit || math.IsNaN(x2) {
		tb.Error(text)
	} else {
		tb.Log(text)
	}
	return x2
}

// ChiSquare measures how far counts are from the shares that weights ask for.
func ChiSquare(counts []int, weights []float64) (x2 float64) {
	n, sum := 0, 0.0
	for i, w := range weights {
		n, sum = n+counts[i], sum+w
	}
	for i, w := range weights {
		want := float64(n) * w / sum
		x2 += (float64(counts[i]) - want) * (float64(counts[i]) - want) / want
	}
	return x2
}
