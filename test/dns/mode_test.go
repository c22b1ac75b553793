package dns_test

// mode is a way to choose addresses, as a Corefile says it.
type mode struct {
	name, properties string
	// uniform is whether not only the first address of an answer has its share, but
	// also one picked evenly.
	uniform bool
	// questions is how many answers are looked at for one set of weights.
	questions int
	// size is how many addresses an answer for these weights has.
	size func(weights []float64) int
}

var ordered = mode{name: "ordered", questions: 100_000, size: func(weights []float64) int { return min(8, len(weights)) }}

// sampled is the mode of listeners that caching resolvers ask.
var sampled = mode{name: "sampled", properties: "mode sampled", uniform: true, questions: 100_000, size: func(weights []float64) int {
	sum, most := 0.0, 0.0
	for _, w := range weights {
		sum, most = sum+w, max(most, w)
	}
	return max(1, min(8, len(weights), int(sum/most)))
}}
