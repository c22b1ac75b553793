package registry

import "strconv"

// join makes the instance readers see; texts that many instances share are kept once.
func (b *builder) join(s *Service, e Endpoint, r kept[*Registration]) *Instance {
	declared := r.record
	i := &Instance{
		Key: InstanceKey{s.Key, e}, Witness: b.witness(declared.Witness),
		Weight: declared.Weight, Enabled: declared.Enabled, Healthy: declared.Healthy, healthy: declared.Healthy,
		Checked: declared.Checked, Revision: r.revision,
	}
	i.Addr, _ = e.Addr()
	metadata := declared.Metadata
	o, _ := b.overrides.Get(i.Key)
	if i.Edited = o.revision; o.record != nil {
		i.owner = &original{declared.Weight, declared.Enabled, declared.Metadata}
		metadata = i.override(o.record)
	}
	i.profile = b.profiles.of(declared.Cluster, metadata)
	b.judge(s, i, o.record)
	return i
}

// witness returns w in the text that all instances of an agent share.
func (s *Snapshot) witness(w Witness) Witness {
	switch w {
	case WitnessHTTP:
		return WitnessHTTP
	case WitnessConnection:
		return WitnessConnection
	}
	if id, ok := w.Agent(); ok {
		if a := s.Agent(id); a != nil {
			return a.witness
		}
	}
	return w
}

// override lays the operator's say over an instance, and returns its metadata.
func (i *Instance) override(o *Override) Metadata {
	if o.Weight != nil {
		i.Weight = *o.Weight
	}
	if o.Enabled != nil {
		i.Enabled = *o.Enabled
	}
	return i.owner.metadata.Over(o.Metadata)
}

// judge sets what the verdicts make of the health that is declared.
func (b *builder) judge(s *Service, i *Instance, o *Override) {
	if i.Ephemeral() {
		if b.judged(i) {
			i.Silent, i.Healthy = true, false
		}
	} else if check := s.Check(i); check == nil {
		if o != nil && o.Healthy != nil {
			i.Healthy = *o.Healthy
		}
	} else if v, ok := b.verdicts.Get(i.Key.checked()); ok && v.record.Incarnation == check.ID() {
		i.Failing, i.Healthy = true, false
	}
}

// incarnation returns what a verdict on i must name to count: the agent's
// incarnation, the connection, or the revision of a registration that beats for itself.
func (s *Snapshot) incarnation(i *Instance) string {
	if i.Witness == WitnessConnection {
		return s.HeldBy(i)
	}
	if id, ok := i.Witness.Agent(); ok {
		if a := s.Agent(id); a != nil {
			return a.Incarnation
		}
		return ""
	}
	return strconv.FormatInt(i.Revision, 10)
}
