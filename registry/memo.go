package registry

// Memo returns what build makes of a service, which has to follow from the service
// alone. It is made when it is first asked for, kept as long as the service is, and
// gone with it. There is one memo of a service, for package answer, and the same type
// of it for all services.
func Memo[T any](s *Service, build func(*Service) *T) *T {
	if kept, ok := s.memo.Load().(*T); ok {
		return kept
	}
	s.memo.CompareAndSwap(nil, build(s)) // of two who come at once one is kept
	return s.memo.Load().(*T)
}
