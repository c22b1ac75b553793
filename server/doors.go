package server

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/doorman"
	"github.com/musterhq/muster/internal/origin"
	"github.com/musterhq/muster/internal/seats"
)

// doors bound how many calls are worked on at once, so that a server that is asked for
// more than it can do answers some of it soon, and keeps its memory. Who beats, asks how
// the server is or is another server passes by all of them: nobody falls silent because
// others ask for lists.
type doors struct {
	reads  *doorman.Doorman // what is answered from memory takes a processor
	waits  *doorman.Doorman // what waits for etcd or another server takes none
	bulk   *doorman.Doorman // large bodies take memory, while they come in and are worked on
	calls  *doorman.Doorman // reads is for gRPC too short of patience: see guardGRPC
	writes *doorman.Doorman // likewise
	logins *doorman.Doorman // they need no etcd, and must go on while it hangs
	people *doorman.Doorman // logins at a provider of identities, which may hang itself
	answer budget           // large answers take memory until their clients have read them
	bodies budget           // small bodies that come in before their calls have a seat
	large  *seats.Seats     // bytes of large ones that do, of which one address has half
	limits *limits
}

const (
	// largeBody is from where on a body is bulk, and one of unknown length is.
	largeBody = 256 << 10
	// largeAnswer is from where on an answer counts, while it is written.
	largeAnswer = 256 << 10
	// maxLogin bounds the body of a login, which anybody may send.
	maxLogin = 64 << 10
	// maxAnswers bounds the bytes of large answers that are written at once.
	maxAnswers = 256 << 20
	// maxBodies bounds the bytes of small bodies that are read before their calls have a
	// seat.
	maxBodies = 64 << 20
	// maxLarge does so for large bodies, of each of which at most earlyMost are read then.
	// More of them than maxLarge has room for, and fewer than bulk has seats, can come so far
	// and send the rest slowly.
	maxLarge  = 128 << 20
	earlyMost = 12 << 20
	// earlyPart is read at once at most, and counts for each large body at least.
	earlyPart = 1 << 20
	// seatTime is how long the rest of a body may take that found no room before its call had
	// a seat.
	seatTime = 2 * time.Second
	// answerTime is how long a client may take to read a large answer.
	answerTime = time.Minute
	// retryAfter is what a call is told that was turned away, in seconds.
	retryAfter = 1
)

func newDoors(l *limits) *doors {
	return &doors{
		reads:  doorman.New(doorman.Config{Seats: max(2, runtime.GOMAXPROCS(0)), Waiting: 512, Patience: 250 * time.Millisecond, Brief: 50 * time.Millisecond}),
		waits:  doorman.New(doorman.Config{Seats: 512, Waiting: 1024, Patience: 3 * time.Second, Brief: 500 * time.Millisecond}),
		bulk:   doorman.New(doorman.Config{Seats: 16, Waiting: 64, Patience: 10 * time.Second, Brief: 2 * time.Second}),
		calls:  doorman.New(doorman.Config{Seats: max(2, runtime.GOMAXPROCS(0)), Waiting: 16384, Patience: 2500 * time.Millisecond, Brief: time.Second}),
		writes: doorman.New(doorman.Config{Seats: 512, Waiting: 16384, Patience: 2500 * time.Millisecond, Brief: time.Second}),
		logins: doorman.New(doorman.Config{Seats: 128, Waiting: 1024, Patience: 3 * time.Second, Brief: 500 * time.Millisecond}),
		people: doorman.New(doorman.Config{Seats: 64, Waiting: 64, Patience: 3 * time.Second, Brief: 500 * time.Millisecond}),
		answer: budget{limit: maxAnswers},
		bodies: budget{limit: maxBodies},
		large:  seats.New(maxLarge, maxLarge/2),
		limits: l,
	}
}

// budget bounds what many calls hold together.
type budget struct {
	limit   int64
	held    atomic.Int64
	refused atomic.Uint64
}

func (b *budget) take(n int64) bool {
	if b.held.Add(n) <= b.limit {
		return true
	}
	b.held.Add(-n)
	b.refused.Add(1)
	return false
}

// guard has calls pass their doors.
func (d *doors) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		door := d.of(r)
		if door != nil || waitsForNews(r) {
			caller := access.From(r.Context())
			caller.Counts = true
			if err := d.limits.address(caller.From); err != nil {
				shutOut(w, r, err)
				return
			}
		}
		if door == nil {
			next.ServeHTTP(w, r)
			return
		}
		length, login := r.ContentLength, door == d.logins || door == d.people
		if login {
			if length > maxLogin {
				turnAway(w, r, http.StatusRequestEntityTooLarge, "a login has at most "+strconv.Itoa(maxLogin)+" bytes")
				return
			}
			if length != 0 { // else what is read is whether the client has gone
				r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyBegin)) // only servers of tests know none
			}
			if length < 0 {
				length = maxLogin
			}
		}
		large := !login && (length > largeBody || length < 0)
		full, release := false, func() {}
		if r.URL.Path != api.PathConfigImport { // goes to the disk, one at a time
			full, release = d.early(r, length, large)
		}
		defer release()
		if large {
			leave, err := d.bulk.Enter(r.Context())
			if err != nil {
				busy(w, r)
				return
			}
			defer leave()
		}
		leave, err := door.Enter(r.Context())
		if err != nil {
			busy(w, r)
			return
		}
		s := &seated{ResponseWriter: w, r: r, doors: d, leave: leave}
		if full {
			s.soon = time.Now().Add(seatTime)
			_ = s.SetReadDeadline(s.soon) // only servers of tests know none
		}
		defer s.end()
		next.ServeHTTP(s, r)
	})
}

// early reads a body of a length, or -1, before its call takes a seat, so that nobody holds
// one by sending slowly. Where all that are so read are too much it is full: then the rest of
// the body has to come in soon once there is a seat.
func (d *doors) early(r *http.Request, length int64, large bool) (full bool, release func()) {
	take, give, least := d.bodies.take, func(n int64) { d.bodies.held.Add(-n) }, int64(0)
	if large {
		least = earlyPart // so that few can hold connections by sending slowly
		from := origin.Network(access.From(r.Context()).From).String()
		take, give = func(n int64) bool { return d.large.TakeMany(from, int(n)) }, func(n int64) { d.large.LeaveMany(from, int(n)) }
		if length < 0 {
			length = earlyMost
		}
	}
	length = min(length, earlyMost)
	var parts []io.Reader
	read, held := int64(0), int64(0)
	for read < length {
		n := min(length-read, max(bytes.MinRead, min(read, earlyPart))) // as much again as there is
		if more := max(read+n, least) - held; more > 0 {
			if full = !take(more); full {
				break
			}
			held += more
		}
		read += n
		part := make([]byte, n)
		got, err := io.ReadFull(r.Body, part)
		parts = append(parts, bytes.NewReader(part[:got]))
		if err != nil {
			break // who reads the rest finds the same error
		}
	}
	if len(parts) > 0 {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(append(parts, r.Body)...), r.Body}
	}
	return full, func() { give(held) }
}

// busy turns a call away that may be made again soon, or at another server.
func busy(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	turnAway(w, r, http.StatusServiceUnavailable, "the server is busy, please try again later")
}

// seated gives the seat back when the answer is there and begins to be written: who
// reads slowly holds none. A large answer counts against what all of them may hold.
type seated struct {
	http.ResponseWriter

	r       *http.Request
	doors   *doors
	leave   func() // gives the seat back
	status  int    // that is to be answered with the first part of the body
	held    int64  // bytes of the answer that count
	begun   bool
	refused bool      // nothing of the answer is written any more
	soon    time.Time // until when the body has to be here, zero: as long as others say
}

// SetReadDeadline lets nobody give a body longer that has to come in soon.
func (s *seated) SetReadDeadline(at time.Time) error {
	if !s.soon.IsZero() && at.After(s.soon) {
		at = s.soon
	}
	return http.NewResponseController(s.ResponseWriter).SetReadDeadline(at)
}

// WriteHeader implements http.ResponseWriter. The header waits for what follows it, which
// may be too much.
func (s *seated) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
}

// Write implements http.ResponseWriter.
func (s *seated) Write(b []byte) (int, error) {
	if s.begin(int64(len(b))); s.refused {
		return len(b), nil
	}
	return s.ResponseWriter.Write(b)
}

// begin begins the answer, with the first n bytes of it or all of them.
func (s *seated) begin(n int64) {
	if s.begun {
		return
	}
	s.begun = true
	s.leave()
	switch {
	case n < largeAnswer:
	case s.doors.answer.take(n):
		s.held = n
		// Only servers of tests know no deadlines.
		_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTime))
	default:
		s.refused = true
		s.Header().Del("Content-Length")
		busy(s.ResponseWriter, s.r)
		return
	}
	if s.status != 0 {
		s.ResponseWriter.WriteHeader(s.status)
	}
}

func (s *seated) end() {
	s.begin(0)
	if s.held > 0 {
		s.doors.answer.held.Add(-s.held)
	}
}

// Unwrap lets http.ResponseController find what it needs.
func (s *seated) Unwrap() http.ResponseWriter { return s.ResponseWriter }

var (
	descTaken   = prometheus.NewDesc("muster_http_working", "Calls that are worked on, by door.", []string{"door"}, nil)
	descWaiting = prometheus.NewDesc("muster_http_waiting", "Calls that wait until they may be worked on, by door.", []string{"door"}, nil)
	descRefused = prometheus.NewDesc("muster_http_refused_total", "Calls that were turned away as the server was busy, by door.", []string{"door"}, nil)
)

// Describe implements prometheus.Collector.
func (d *doors) Describe(to chan<- *prometheus.Desc) {
	to <- descTaken
	to <- descWaiting
	to <- descRefused
}

// Collect implements prometheus.Collector.
func (d *doors) Collect(to chan<- prometheus.Metric) {
	for name, door := range map[string]*doorman.Doorman{"reads": d.reads, "waits": d.waits, "bulk": d.bulk, "grpc_reads": d.calls, "grpc_writes": d.writes, "logins": d.logins, "people": d.people} {
		is := door.Stats()
		to <- prometheus.MustNewConstMetric(descTaken, prometheus.GaugeValue, float64(is.Taken), name)
		to <- prometheus.MustNewConstMetric(descWaiting, prometheus.GaugeValue, float64(is.Waiting), name)
		to <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(is.Refused), name)
	}
	to <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(d.answer.refused.Load()), "answers")
}
