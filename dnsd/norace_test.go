//go:build !race

package dnsd_test

// floodPackets is how many packets the flood test sends.
const floodPackets = 1_000_000
