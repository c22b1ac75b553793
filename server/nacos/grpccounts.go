package nacos

import "github.com/musterhq/muster/server/nacos/rpc"

// Counts says what a connection asks of this server, for those who look after it.
func (h *Handler) Counts(c *rpc.Conn) rpc.Counts {
	var n rpc.Counts
	h.tells.mu.Lock()
	if l := h.tells.conns[c]; l != nil {
		n.Subscriptions = len(l.topics)
	}
	h.tells.mu.Unlock()
	n.Listeners = h.listens.documents(c)
	h.holders.mu.Lock()
	o := h.holders.conns[c]
	h.holders.mu.Unlock()
	if o != nil {
		o.mu.Lock()
		n.Services = len(o.sets)
		o.mu.Unlock()
	}
	return n
}
