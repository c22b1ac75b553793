package server

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/internal/seats"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/events"
	"github.com/musterhq/muster/server/nacos"
)

// Source is what the DNS plugin finds in the storage of its instance.
type Source interface {
	Snapshot() *registry.Snapshot
	Changed() <-chan struct{}
	Kept(d time.Duration)
	Rules(zone string, rule func(from netip.Addr) answer.Rule)
}

// Source returns what the DNS plugin of s reads.
func (s *Server) Source() Source { return s.source }

// Hold returns how long the name of a service that is gone is kept from others.
func (s *Server) Hold() time.Duration { return s.source.hold() }

// SetEvents changes the bounds of event streams of servers that are opened from
// now on.
func SetEvents(change func(*events.Config)) (restore func()) {
	was := eventLimits
	change(&eventLimits)
	return func() { eventLimits = was }
}

// RoomOf returns how many connections a process takes that may have so many files
// open, and how many of them polls and others may hold that wait.
func RoomOf(files uint64) (connections, polls, others int) {
	r := roomOf(files)
	return r.connections, r.polls, r.watches + r.streams
}

// SetCheck sets how the persistent instances of a service are checked.
func SetCheck(ctx context.Context, s *Server, k registry.ServiceKey, c registry.HealthCheck) error {
	_, err := s.registry.UpdateCluster(ctx, k, registry.DefaultCluster, registry.Cluster{Check: &c})
	return err
}

// Silence has the judge find that an agent is silent.
func Silence(ctx context.Context, s *Server, agent string) error {
	snap := s.registry.Snapshot()
	ro, _ := snap.Roster(snap.Instance(snap.Agent(agent).Instances[0]))
	return s.registry.Silence(ctx, ro, snap.Revision())
}

// CanTry returns why a check of an instance could never be tried, nil when it can.
func CanTry(e registry.Endpoint, c registry.HealthCheck) error { return probeOf(e, c).Validate() }

// WriteTargets writes the targets of a snapshot.
func WriteTargets(to io.Writer, snap *registry.Snapshot) error {
	return new(targetsQuery).write(to, snap)
}

// SetSelector sets the selector of a service.
func SetSelector(ctx context.Context, s *Server, k registry.ServiceKey, expression string) error {
	_, err := s.registry.UpdateService(ctx, k, registry.ServiceSpec{Selector: &registry.Selector{Labels: expression}})
	return err
}

// Polls returns how many calls of our own API wait for documents.
func Polls(s *Server) int64 { return s.polls.Load() }

// Handler returns what answers the calls of s.
func Handler(s *Server) http.Handler { return s.http.Handler }

// Pulse returns what finds out whether the server at an address is behind, for so long
// at the most.
func Pulse(most time.Duration) (behind func() bool, run func(ctx context.Context, address string) error) {
	p := newPulse(most)
	return p.behind, func(ctx context.Context, address string) error { return p.run(ctx, address, nil) }
}

// Exposures says what lies open to others than this host.
func Exposures(c Config) []string { return c.exposures() }

// Paced bounds how slowly clients may send and read; each part of an answer has so long.
func Paced(next http.Handler, answer time.Duration) http.Handler { return paced(next, answer) }

// DoorOf returns the name of the door that a call has to pass, empty: none.
func DoorOf(r *http.Request) string {
	d := newDoors(&limits{})
	switch d.of(r) {
	case d.reads:
		return "reads"
	case d.waits:
		return "waits"
	case d.logins:
		return "logins"
	case d.people:
		return "people"
	}
	return ""
}

// Unchanging returns the operations of our own API that are not recorded though they
// need a right to write.
func Unchanging() []string { return slices.Sorted(maps.Keys(unchanging)) }

// TakeSeats takes all seats for what is answered from memory.
func TakeSeats(t testing.TB, s *Server) (leave func()) {
	t.Helper()
	var all []func()
	for range max(2, runtime.GOMAXPROCS(0)) {
		one, err := s.doors.reads.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return func() {
		for _, one := range all {
			one()
		}
	}
}

// Guarded returns a handler behind doors whose answers may hold so many bytes.
func Guarded(answers int64, next http.HandlerFunc) http.Handler {
	d := newDoors(&limits{})
	d.answer.limit = answers
	return d.guard(next)
}

// Authority returns what knows the callers of s.
func Authority(s *Server) *auth.Authority { return s.auth }

// SetGate has callers of s log in, as far as who knows them.
func SetGate(s *Server, who access.Identifier) { s.gate.Who = who }

// Routes returns what s answers beside its APIs, and over gRPC, and what each asks of callers.
func Routes(s *Server) map[string]string {
	all := map[string]string{}
	for _, r := range s.routes(http.NewServeMux()) {
		all[r.pattern] = r.need.String()
	}
	for request, need := range nacos.GRPCNeeds() {
		all["gRPC "+request] = need.String()
	}
	return all
}

// ReadPlain reads the body of a beat that is written as agents write it.
func ReadPlain(body []byte) (api.AgentBeat, bool) { return readPlain(body) }

// Known returns the ids of the agents of which s knows what their beats are answered with.
func Known(s *Server) (ids []string) {
	s.beats.now()
	for id := range s.beats.known.Range {
		ids = append(ids, id.(string))
	}
	slices.Sort(ids)
	return ids
}

// Misknown returns the ids of those of which s knows something else than what it would
// work out now. Nothing must change meanwhile.
func Misknown(s *Server) (ids []string) {
	for _, a := range s.beats.view.Snapshot().Agents() {
		is, snap := s.beats.of(a.ID)
		if !reflect.DeepEqual(is, s.beats.workOut(snap, a)) {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// Surplus is surplus.
var Surplus = surplus

// Doors returns what calls pass that write, with room for so many bytes of bodies that come in
// before there is a seat: how many such bytes there are, how many seats are taken of the door
// that has most, and what serves a call with a body.
func Doors(room int) (bodies func() int, taken func() int, serve func(w http.ResponseWriter, body io.ReadCloser, length int64, next http.HandlerFunc)) {
	d := newDoors(&limits{})
	d.bodies.limit, d.large = int64(room), seats.New(room, room)
	return func() int { return int(d.bodies.held.Load()) + d.large.Taken() },
		func() int { return max(d.waits.Stats().Taken, d.bulk.Stats().Taken) },
		func(w http.ResponseWriter, body io.ReadCloser, length int64, next http.HandlerFunc) {
			r := httptest.NewRequestWithContext(context.Background(), http.MethodPut, "/v1/services/a/b/c", body)
			r.ContentLength = length
			d.guard(next).ServeHTTP(w, r)
		}
}

// HasDoor reports whether a call over gRPC passes a door.
func HasDoor(request string) bool { return newDoors(&limits{}).ofCall(request) != nil }

// Safe returns a handler behind what answers panics, and how many there were.
func Safe(next http.HandlerFunc) (h http.Handler, panics func() float64) {
	s := &Server{log: slog.New(slog.DiscardHandler), panics: newPanics()}
	return s.safe(next), func() float64 { return testutil.ToFloat64(s.panics) }
}
