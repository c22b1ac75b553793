package waiters

// Kept returns of how many documents something is kept.
func (w *Waiters) Kept() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.by)
}
