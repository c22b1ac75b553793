package source

// Remembered returns how much is remembered of addresses that templates yielded.
func (s *Sources) Remembered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.addresses) + len(s.resolved) + len(s.stood)
}
