package registry

// Policy is what is decided for all services alike, apart from the records. Every
// server of a cluster is to have the same.
type Policy struct {
	// ProtectAtZero has a protect threshold of 0 protect too, as Nacos has it: of a
	// service without any healthy instance all are answered.
	ProtectAtZero bool
	// Labels tells the labels of addresses; nil: no address has any.
	Labels Labels
	// Quota returns how much a namespace may have; nil bounds none.
	Quota func(namespace string) Quota
}

// Empty returns the snapshot of no records, at revision 0. Those made of it by
// [Snapshot.Apply] keep the policy.
func Empty(p Policy) *Snapshot { return &Snapshot{policy: p} }

// protects reports whether the protect threshold holds with so many of all
// eligible instances healthy.
func (s *Service) protects(healthy, all int) bool {
	return all > 0 && (s.ProtectThreshold > 0 || s.policy.ProtectAtZero) && float64(healthy)/float64(all) <= s.ProtectThreshold
}

// Part returns the service as it were with those instances alone that keep is
// true of. It has no DNS names.
func (s *Service) Part(keep func(*Instance) bool) *Service {
	part := &Service{ServiceRecord: s.ServiceRecord, Revision: s.Revision, exact: s.exact, policy: s.policy, selector: s.selector}
	var list []*Instance
	for i := range s.Instances.All() {
		if keep(i) {
			list = append(list, i)
		}
	}
	part.Instances = Instances{appendParts(nil, list), len(list)}
	return part
}
