package local

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/agent/drain"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
	"github.com/musterhq/muster/api"
)

// Operator does what an operator asks of an agent as a whole.
type Operator interface {
	// ReadAgain reads the definitions now, and tells what that changed.
	ReadAgain(ctx context.Context) calls.Reloaded
	// Drain, Undrain, SkipDrain, Draining and Leave are those of a drain.Drainer; a
	// nil wait is that of the settings.
	Drain(wait *time.Duration) (drain.Status, error)
	Undrain() (drain.Status, error)
	SkipDrain()
	Draining() drain.Status
	Leave(wait *time.Duration) drain.Status
	// Maintain takes what t names out of rotation, or puts it back.
	Maintain(t drain.Target, on bool, reason string) ([]roll.Key, error)
	// Tell takes up word for a ttl check.
	Tell(k roll.Key, check string, passes bool, note string) error
}

// Bounds of what is said in a few words.
const (
	maxReason = 1 << 10
	maxNote   = 4 << 10
	maxOrder  = 16 << 10
	maxWaitMs = int64(24 * time.Hour / time.Millisecond)
)

// mayOperate answers who may not ask something of the agent as a whole: over the
// socket a user who is neither root nor the agent's. Of who calls over TCP nothing
// is known, and what he asks is done: only programs of this host reach it.
func mayOperate(w http.ResponseWriter, r *http.Request) bool {
	if c := CallerOf(r); c.UID != source.Nobody && !c.Any {
		fail(w, http.StatusForbidden, "only root and the agent's user may ask that, not user "+strconv.Itoa(c.UID))
		return false
	}
	return true
}

// order reads the body of a call into v; an empty one leaves it as it is. It has no
// other parameters than the named ones.
func order(w http.ResponseWriter, r *http.Request, v any, names ...string) bool {
	if _, ok := query(w, r, names...); !ok {
		return false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxOrder)
	body, ok := readBody(w, r)
	if !ok || len(strings.TrimSpace(string(body))) == 0 {
		return ok
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "the body must be application/json")
		return false
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil || d.More() {
		detail := "the body is not the JSON that is expected"
		if field, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			fail(w, http.StatusBadRequest, detail, api.ProblemField{Message: "is not of the right type", Location: "body." + field.Field})
			return false
		}
		if err != nil && strings.Contains(err.Error(), "unknown field") {
			detail += ": " + strings.TrimPrefix(err.Error(), "json: ")
		}
		fail(w, http.StatusBadRequest, detail)
		return false
	}
	return true
}

func (a *API) reload(w http.ResponseWriter, r *http.Request) {
	if !order(w, r, &struct{}{}) || !mayOperate(w, r) {
		return
	}
	write(w, http.StatusOK, a.cfg.Operator.ReadAgain(r.Context()))
}

// drainOrder reads the order of a drain or a leave.
func drainOrder(w http.ResponseWriter, r *http.Request) (o calls.DrainOrder, wait *time.Duration, ok bool) {
	if !order(w, r, &o) || !mayOperate(w, r) {
		return o, nil, false
	}
	if o.WaitMs != nil {
		if *o.WaitMs < 0 || *o.WaitMs > maxWaitMs {
			fail(w, http.StatusBadRequest, "waitMs is not within 0 and "+strconv.FormatInt(maxWaitMs, 10),
				api.ProblemField{Message: "is out of range", Location: "body.waitMs"})
			return o, nil, false
		}
		wait = new(time.Duration(*o.WaitMs) * time.Millisecond)
	}
	return o, wait, true
}

func (a *API) drain(w http.ResponseWriter, r *http.Request) {
	o, wait, ok := drainOrder(w, r)
	if !ok {
		return
	}
	if o.Skip {
		a.cfg.Operator.SkipDrain()
		write(w, http.StatusAccepted, a.cfg.Operator.Draining())
		return
	}
	s, err := a.cfg.Operator.Drain(wait)
	a.drained(w, http.StatusAccepted, s, err)
}

func (a *API) undrain(w http.ResponseWriter, r *http.Request) {
	if !order(w, r, &struct{}{}) || !mayOperate(w, r) {
		return
	}
	s, err := a.cfg.Operator.Undrain()
	a.drained(w, http.StatusOK, s, err)
}

// drained answers how far a drain is. One that a restart would not know of holds
// all the same, and says so.
func (a *API) drained(w http.ResponseWriter, status int, s drain.Status, err error) {
	if errors.Is(err, drain.ErrLeaving) {
		fail(w, http.StatusConflict, err.Error())
		return
	}
	write(w, status, s)
}

func (a *API) draining(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); ok {
		write(w, http.StatusOK, a.cfg.Operator.Draining())
	}
}

func (a *API) leave(w http.ResponseWriter, r *http.Request) {
	o, wait, ok := drainOrder(w, r)
	if !ok {
		return
	}
	if o.Skip {
		a.cfg.Operator.SkipDrain()
	}
	write(w, http.StatusAccepted, a.cfg.Operator.Leave(wait))
}

// maintain takes a service, or a registration, out of rotation or puts it back.
func (a *API) maintain(w http.ResponseWriter, r *http.Request) {
	o := calls.MaintenanceOrder{Enabled: r.Method == http.MethodPut}
	if !order(w, r, &o, "namespace", "group") {
		return
	}
	if r.Method == http.MethodDelete {
		o.Enabled = false
	}
	if len(o.Reason) > maxReason {
		fail(w, http.StatusBadRequest, "the reason is longer than "+strconv.Itoa(maxReason)+" bytes",
			api.ProblemField{Message: "is too long", Location: "body.reason"})
		return
	}
	q := r.URL.Query()
	t := drain.Target{Name: r.PathValue("name"), Namespace: q.Get("namespace"), Group: q.Get("group")}
	targets, err := a.mayMaintain(t, CallerOf(r))
	if err != nil {
		fail(w, http.StatusForbidden, err.Error())
		return
	}
	var keys []roll.Key
	answer := calls.Maintained{Instances: []string{}, Enabled: o.Enabled, Reason: o.Reason}
	for _, t := range targets {
		about, err := a.cfg.Operator.Maintain(t, o.Enabled, o.Reason)
		if errors.Is(err, drain.ErrUnknown) {
			fail(w, http.StatusNotFound, err.Error())
			return
		}
		if err != nil { // it holds for now
			answer.Problem = err.Error()
		}
		keys = append(keys, about...)
	}
	for _, k := range keys {
		answer.Instances = append(answer.Instances, k.String())
	}
	write(w, http.StatusOK, answer)
}

// mayMaintain returns what to keep out of rotation, or put back, for c to have t
// so, and an error when c may not say that of all instances that t names: those of
// files are the operator's. What a user says is of his registrations one by one: of
// the service it would hold for what others declare of it later, too.
func (a *API) mayMaintain(t drain.Target, c source.Caller) ([]drain.Target, error) {
	var registrations, alike []drain.Target
	for _, i := range a.cfg.Host.Instances() {
		named := i.Service == t.Name && (t.Namespace == "" || i.Namespace == t.Namespace) && (t.Group == "" || i.Group == t.Group)
		if !named && i.Origin != source.AppOrigin(t.Name) {
			continue
		}
		if err := a.mayChange(i, c); err != nil {
			return nil, err
		}
		id, _ := strings.CutPrefix(i.Origin, source.AppOrigin(""))
		one := drain.Target{Name: id, Registration: true}
		if named {
			registrations = append(registrations, one)
		} else {
			alike = append(alike, one)
		}
	}
	switch {
	case c.Any, c.UID == source.Nobody:
		return []drain.Target{t}, nil
	case len(registrations) > 0:
		return registrations, nil
	case len(alike) > 0:
		return alike, nil
	}
	return []drain.Target{{Name: t.Name, Registration: true}}, nil // that are gone, and may rest still
}

// mayChange returns nil when c may have a say about an instance.
func (a *API) mayChange(i roll.InstanceStatus, c source.Caller) error {
	id, registered := strings.CutPrefix(i.Origin, source.AppOrigin(""))
	switch {
	case c.Any:
		return nil
	case registered:
		if err := a.cfg.Sources.May(id, c); !errors.Is(err, source.ErrNone) {
			return err
		}
	case c.UID == source.Nobody: // as of all that is not somebody's
		return nil
	}
	return errors.New(i.Key().String() + " comes from " + i.Origin + ", which user " + strconv.Itoa(c.UID) + " may not change")
}

// word returns what takes word of a ttl check that passes, or does not.
func (a *API) word(passes bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		note, ok := noteOf(w, r)
		if !ok {
			return
		}
		found, ok := a.named(w, r, "namespace", "group", "note")
		if !ok {
			return
		}
		check, told, last := r.PathValue("check"), 0, error(nil)
		for _, i := range found {
			if id, registered := strings.CutPrefix(i.Origin, source.AppOrigin("")); registered {
				if err := a.cfg.Sources.May(id, CallerOf(r)); errors.Is(err, source.ErrOwned) {
					fail(w, http.StatusForbidden, err.Error())
					return
				}
			}
			err := a.cfg.Operator.Tell(i.Key(), check, passes, note)
			if errors.Is(err, roll.ErrNoCheck) && check == onlyTTL {
				err = a.cfg.Operator.Tell(i.Key(), "", passes, note)
			}
			if err != nil {
				last = err
				continue
			}
			told++
		}
		if told == 0 {
			fail(w, http.StatusNotFound, last.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// onlyTTL names the only ttl check of an instance, which needs no name.
const onlyTTL = "ttl"

// noteOf reads the note of a word: a body of text, or of JSON with the key note.
func noteOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, maxOrder)
	body, ok := readBody(w, r)
	if !ok {
		return "", false
	}
	note := string(body)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/json" && len(body) > 0 {
		var said struct {
			Note string `json:"note"`
		}
		if json.Unmarshal(body, &said) != nil {
			fail(w, http.StatusBadRequest, "the body is not JSON with a note", api.ProblemField{Message: "is not a text", Location: "body.note"})
			return "", false
		}
		note = said.Note
	}
	if q := r.URL.Query().Get("note"); note == "" {
		note = q
	}
	if len(note) > maxNote {
		fail(w, http.StatusBadRequest, "the note is longer than "+strconv.Itoa(maxNote)+" bytes", api.ProblemField{Message: "is too long", Location: "body"})
		return "", false
	}
	return strings.ToValidUTF8(strings.TrimSpace(note), "?"), true
}
