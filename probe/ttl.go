package probe

import "fmt"

// newTTL returns no Prober: nothing is tried.
func newTTL(c Check, _ *Guard) (Prober, error) {
	if d := c.TTL; d < Duration(MinInterval) {
		return nil, fmt.Errorf("%v is below %v", d, MinInterval)
	}
	return nil, nil
}
