package labels

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Status says how a source is.
type Status struct {
	Origin    string    // the path of the file, or the URL without user and query
	Began     time.Time // when the source was made
	Entries   int       // of the table that holds
	Changed   time.Time // when that came, zero when there is none
	Confirmed time.Time // when it last was what the origin had, zero when there is none
	Recalled  bool      // it is the copy of an earlier run, the origin has not answered yet
	Failing   string    // what is wrong with the origin or what it has, empty when nothing is
	Failures  uint64    // looks that brought nothing good
}

// Age returns how old at the most what is shown may be; before there is anything,
// how long that has been missing.
func (s Status) Age(now time.Time) time.Duration {
	since := s.Confirmed
	if since.IsZero() {
		since = s.Began
	}
	return max(now.Sub(since), 0)
}

// Status returns how the source is now.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// mostSaid bounds how many errors are logged until it goes well again.
const mostSaid = 16

// fail notes what is wrong, and logs each error once.
func (s *Source) fail(ctx context.Context, err error) {
	if ctx.Err() != nil { // called off: nothing is known
		return
	}
	text := err.Error()
	s.mu.Lock()
	s.status.Failing = text
	s.status.Failures++
	s.mu.Unlock()
	s.failed()
	if s.said[text] || len(s.said) >= mostSaid {
		return
	}
	s.said[text] = true
	s.log.Error("no new labels, the last ones hold", "from", s.origin.name(), "entries", s.Current().Len(), "err", text)
}

// confirm notes that what is shown was what the origin had.
func (s *Source) confirm(at time.Time) {
	s.mu.Lock()
	failed := s.status.Failing != ""
	s.status.Confirmed, s.status.Failing, s.status.Recalled = at, "", false
	s.mu.Unlock()
	if failed {
		clear(s.said)
		s.log.Info("labels are read again", "from", s.origin.name())
	}
}

// register makes the metrics; the function counts a failure.
func (s *Source) register(to prometheus.Registerer) (failed func(), err error) {
	failures := prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_labels_failures_total",
		Help: "Looks at the source of labels that brought nothing good."})
	if to == nil {
		return failures.Inc, nil
	}
	for _, c := range []prometheus.Collector{
		failures,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "muster_labels_age_seconds",
			Help: "How old the labels may be, at the most; before the first, how long they have been missing."},
			func() float64 { return s.Status().Age(time.Now()).Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "muster_labels_entries",
			Help: "Addresses, networks and host names that have labels."},
			func() float64 { return float64(s.Status().Entries) }),
	} {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return failures.Inc, nil
}
