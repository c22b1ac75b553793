package relay

// Bound has a Relay keep at most so many witnesses and bytes of them, and as
// many for other servers.
func (r *Relay) Bound(most, bytes int) { r.bound(most, bytes) }
