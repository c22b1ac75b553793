package answer

import "math"

// SRVWeight returns the weight to put into an SRV record for an instance of
// weight w, in a set whose largest weight is heaviest. SRV weights are whole
// numbers, so w is scaled by a power of ten that leaves small weights their
// ratio; as only the power depends on the set, the number of an instance stays
// when its neighbours come and go.
func SRVWeight(w, heaviest float64) uint16 { return scaleOf(heaviest).weight(w) }

// scale is what weights are multiplied by.
type scale float64

func scaleOf(heaviest float64) scale {
	switch {
	case heaviest <= 65.535:
		return 1000
	case heaviest <= 655.35:
		return 100
	case heaviest <= 6553.5:
		return 10
	}
	return 1
}

func (k scale) weight(w float64) uint16 {
	return uint16(min(65535, max(1, math.Round(float64(k)*w))))
}
