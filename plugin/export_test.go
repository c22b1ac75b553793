package plugin

import "math/rand/v2"

// CookieIn is what a packet's cookie is read with before the packet is.
var CookieIn = cookieIn

// RunTransfer runs a transfer to its end.
func RunTransfer(run func()) {
	var t transfers
	t.start(run)
	t.underWay.Wait()
}

// Draw has a hot path draw from random.
func Draw(path HotPath, random *rand.Rand) {
	h := path.(*hot)
	h.finder = h.zones.NewFinder(random)
}
