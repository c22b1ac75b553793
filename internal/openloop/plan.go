// Package openloop starts calls when a rate says so, whatever became of earlier ones,
// and measures each from the moment that it was to start.
//
// A generator that starts a call when the last one is over asks less while the server
// stalls, and so leaves out the very calls that would have shown it. Here a call that
// finds every worker busy counts from when it was due.
package openloop

import (
	"errors"
	"math"
	"time"
)

// Plan says when calls are to start.
type Plan struct {
	// Rate is how many start in a second. 0: each worker starts its next one when its
	// last one is over, and there is no moment that a call was due.
	Rate float64
	// Ramp is how long the rate takes to grow from nothing. Calls that were due then
	// are made and counted, and not measured.
	Ramp time.Duration
	// Duration is for how long calls are due once the rate is reached; 0: for ever.
	Duration time.Duration
	// Limit is how many calls there are at the most; 0: no limit.
	Limit int64
}

// Check returns an error for a plan that no run can follow, or that has no end.
func (p Plan) Check() error {
	switch {
	case p.Rate < 0 || math.IsNaN(p.Rate) || math.IsInf(p.Rate, 0):
		return errors.New("the rate is no number of calls a second")
	case p.Rate > 0 && p.Rate < 1e-3:
		return errors.New("the rate is under one call in 1000 seconds")
	case p.Ramp < 0 || p.Duration < 0 || p.Limit < 0:
		return errors.New("ramp, duration and limit cannot be negative")
	case p.Duration == 0 && p.Limit == 0:
		return errors.New("neither a duration nor a number of calls ends it")
	}
	return nil
}

// ramped returns how many calls are due before the rate is reached.
func (p Plan) ramped() float64 { return p.Rate * p.Ramp.Seconds() / 2 }

// due returns when the call n, from 0, is to start, counted from the start of the run.
func (p Plan) due(n int64) time.Duration {
	if p.Rate == 0 {
		return 0
	}
	if ramped := p.ramped(); float64(n) >= ramped {
		return p.Ramp + time.Duration((float64(n)-ramped)/p.Rate*float64(time.Second))
	}
	// The rate grows with the time t, so that rate*t²/(2*ramp) calls are due by t.
	return time.Duration(math.Sqrt(2*float64(n)*p.Ramp.Seconds()/p.Rate) * float64(time.Second))
}

// end returns when no call is due any more, 0 when only the limit ends the run.
func (p Plan) end() time.Duration {
	if p.Duration == 0 {
		return 0
	}
	if p.Rate == 0 {
		return p.Duration
	}
	return p.Ramp + p.Duration
}

// calls returns how many there are to be, 0 when that hangs on how fast they are.
func (p Plan) calls() int64 {
	if p.Rate == 0 || p.Duration == 0 {
		return p.Limit
	}
	n := int64(math.Ceil(p.ramped() + p.Rate*p.Duration.Seconds()))
	if p.Limit > 0 {
		n = min(n, p.Limit)
	}
	return n
}
