package audit

import (
	"cmp"
	"context"
	"net/http"
)

// Trail collects what is known of a call while it is on its way to an answer. It
// belongs to the goroutine that answers the call. A nil one takes everything and
// keeps nothing.
type Trail struct {
	event   Event
	parts   []Part
	changes bool
	failed  bool
}

type trailKey struct{}

// With returns ctx with the trail of its call.
func With(ctx context.Context, t *Trail) context.Context {
	return context.WithValue(ctx, trailKey{}, t)
}

// From returns the trail of a call, nil when none is kept.
func From(ctx context.Context) *Trail {
	t, _ := ctx.Value(trailKey{}).(*Trail)
	return t
}

// Operation says which operation is called.
func (t *Trail) Operation(id string) {
	if t != nil {
		t.event.Op = id
	}
}

// Changes says that the operation changes something, or lets somebody in.
func (t *Trail) Changes() {
	if t != nil {
		t.changes = true
	}
}

// As says who wants to log in.
func (t *Trail) As(kind, name string) {
	if t != nil {
		t.event.Kind, t.event.Who = kind, name
	}
}

// About says what the call is about; what is empty stays as it was.
func (t *Trail) About(namespace, group, name, item string) {
	if t == nil {
		return
	}
	e := &t.event
	e.Namespace, e.Group = cmp.Or(namespace, e.Namespace), cmp.Or(group, e.Group)
	e.Name, e.Item = cmp.Or(name, e.Name), cmp.Or(item, e.Item)
}

// Part says what the call has done to one thing of many.
func (t *Trail) Part(p Part) {
	if t != nil {
		t.parts = append(t.parts, p)
	}
}

// Parts returns what the call has done to each thing of many.
func (t *Trail) Parts() []Part { return t.parts }

// Because says why the call is refused.
func (t *Trail) Because(why string) {
	if t != nil {
		t.event.Why = why
	}
}

// Failed says that the call came to nothing, where its status does not.
func (t *Trail) Failed() {
	if t != nil {
		t.failed = true
	}
}

// Outcome is how a call was answered.
type Outcome struct {
	Status   int
	Revision int64 // that the answer names, 0: none
	DryRun   bool
}

// Event returns what is to be recorded of a call that is answered; false when
// nothing is. Calls that only read are recorded when they are refused.
func (t *Trail) Event(o Outcome) (Event, bool) {
	e := t.event
	e.Status, e.DryRun = o.Status, o.DryRun
	switch {
	case o.Status == http.StatusUnauthorized || o.Status == http.StatusForbidden:
		e.Result = Refused
		return e, true
	case o.Status >= http.StatusBadRequest || t.failed:
		e.Result = Failed
	default:
		e.Result = Done
		if !o.DryRun {
			e.Revision = o.Revision
		}
	}
	return e, t.changes
}
