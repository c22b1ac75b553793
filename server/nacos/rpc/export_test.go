package rpc

// Taken returns how many connections, calls under way and bytes of messages count now.
func (s *Server) Taken() (connections, calls, bytes int) {
	return s.seats.Taken(), s.underWay.Taken(), s.held.Taken()
}
