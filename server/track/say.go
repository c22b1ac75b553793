package track

// saying is one thing that was heard of a client and a document.
type saying struct {
	what    uint8 // held: the client says it; sent: it was given; else what an agent says
	kind    uint8
	md5     digest
	release string
	detail  string
	at      int64
}

// take brings in what was heard, and reports whether more changed than when the
// client was seen. A client that was not seen for idle joins anew.
func (r *record) take(s saying, idle int64) (changed bool) {
	joins := s.at-r.seen > idle
	if joins {
		r.joined, changed = s.at, true
	}
	if s.what != sent || r.kind <= kindGet || joins {
		changed = changed || r.kind != s.kind
		r.kind = s.kind
	}
	r.seen = max(r.seen, s.at)
	switch s.what {
	case held:
		return r.heard(s) || changed
	case sent:
		return r.sent(s) || changed
	case written:
		return r.written(s) || changed
	case applied:
		return r.applied(s) || changed
	}
	return r.rejected(s) || changed
}

// heard: what a client rejected it is not believed to hold, as long as it does
// not report so: it may only have downloaded it.
func (r *record) heard(s saying) bool {
	o := r.offer
	switch {
	case r.state != unknown && r.md5 == s.md5,
		o != nil && o.md5 == s.md5 && o.state == rejected:
		return false
	case o != nil && o.md5 == s.md5:
		r.hold(held, s.md5, o.release, o.at)
		r.offer = nil
		return true
	}
	r.hold(held, s.md5, "", s.at)
	if o != nil && o.state != rejected {
		r.offer = nil
	}
	return true
}

func (r *record) hold(state uint8, md5 digest, release string, since int64) {
	if md5 == (digest{}) {
		state = none
	}
	r.state, r.md5, r.release, r.since = state, md5, release, since
}

func (r *record) sent(s saying) bool {
	o := r.offer
	switch {
	case r.md5 == s.md5:
		changed := r.release != s.release || o != nil
		r.release, r.offer = s.release, nil
		return changed
	case o == nil || o.md5 != s.md5:
		if r.state == unknown && o == nil {
			r.since = s.at
		}
		r.offer = &offer{md5: s.md5, state: sent, at: s.at, release: s.release}
		return true
	case o.release != s.release:
		next := *o
		next.release = s.release
		r.offer = &next
		return true
	}
	return false
}

func (r *record) written(s saying) bool {
	if r.md5 == s.md5 {
		return r.settle(s.md5)
	}
	return r.answer(s)
}

func (r *record) applied(s saying) bool {
	o := r.offer
	switch {
	case r.md5 == s.md5:
		changed := r.state != applied
		r.state = applied
		return r.settle(s.md5) || changed
	case o != nil && o.md5 == s.md5 && o.state == written:
		r.hold(applied, s.md5, o.release, o.at)
	case o != nil && o.md5 == s.md5:
		r.hold(applied, s.md5, o.release, s.at)
	default:
		r.hold(applied, s.md5, "", s.at)
	}
	r.settle(s.md5)
	return true
}

// rejected: who rejects what it held by its own words went back to what nobody
// here knows.
func (r *record) rejected(s saying) bool {
	if r.md5 == s.md5 {
		r.offer = &offer{md5: s.md5, state: rejected, at: s.at, release: r.release, detail: s.detail}
		r.state, r.md5, r.release, r.since = unknown, digest{}, "", s.at
		return true
	}
	return r.answer(s)
}

// settle drops the offer, unless something else was sent meanwhile.
func (r *record) settle(md5 digest) bool {
	if r.offer == nil || r.offer.state == sent && r.offer.md5 != md5 {
		return false
	}
	r.offer = nil
	return true
}

// answer notes what a client says of what it was given.
func (r *record) answer(s saying) bool {
	next := offer{md5: s.md5, state: s.what, at: s.at, detail: s.detail}
	if o := r.offer; o != nil && o.md5 == s.md5 {
		next.release = o.release
		if o.state == s.what {
			next.at = o.at
		}
		if next == *o {
			return false
		}
	} else if r.state == unknown && o == nil {
		r.since = s.at
	}
	r.offer = &next
	return true
}
