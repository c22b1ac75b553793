package plugin

// CookieIn is what a packet's cookie is read with before the packet is.
var CookieIn = cookieIn

// RunTransfer runs a transfer to its end.
func RunTransfer(run func()) {
	var t transfers
	t.start(run)
	t.underWay.Wait()
}
