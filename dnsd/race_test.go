//go:build race

package dnsd_test

// floodPackets is how many packets the flood test sends. The race detector makes
// each some ten times as dear.
const floodPackets = 100_000
