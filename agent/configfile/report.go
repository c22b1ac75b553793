package configfile

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// maxDetail bounds what a report says of a failure.
const maxDetail = 256

// reportPause is the shortest time between two calls with reports.
const reportPause = time.Second

// reporter tells the server what became of documents. Of each document it
// keeps what it said last, and says what is another now; everything is
// repeated from time to time, so that the server knows who is alive.
type reporter struct {
	keeper *Keeper
	wake   chan struct{}
	said   map[client.Name]outcome // run's
}

// outcome is what became of a document. Where it was rejected, before says
// which content stands in its place: the server, which hears at once what the
// agent has read, may believe that it is the other.
type outcome struct {
	before, report api.ConfigReport
}

func newReporter(k *Keeper) *reporter {
	return &reporter{keeper: k, wake: make(chan struct{}, 1), said: make(map[client.Name]outcome)}
}

func (r *reporter) rouse() {
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

// run reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	repeat := time.Now().Add(r.keeper.cfg.Repeat)
	for failures := 0; ctx.Err() == nil; {
		if !time.Now().Before(repeat) {
			clear(r.said)
			repeat = time.Now().Add(r.keeper.cfg.Repeat)
		}
		more, err := r.send(ctx)
		switch {
		case errors.Is(err, client.ErrNotFound):
			// A server that takes no reports may be followed by one that does.
			failures = 0
			pause(ctx, nil, max(reportPause, time.Until(repeat)))
		case err != nil:
			if failures == 0 {
				r.keeper.cfg.Logger.Warn("server takes no reports of configs, they come later", "err", err)
			}
			pause(ctx, nil, backoff(r.keeper.cfg.Retry, 60*r.keeper.cfg.Retry, failures))
			failures++
		default:
			failures = 0
			pause(ctx, nil, reportPause) // what comes meanwhile goes with the next call
			if !more {
				pause(ctx, r.wake, max(time.Millisecond, time.Until(repeat))) // 0 would be for ever
			}
		}
	}
}

// send makes one call with what has not been said yet, if that is anything. It
// reports whether there is more.
func (r *reporter) send(ctx context.Context) (more bool, err error) {
	now := r.keeper.outcomes()
	for n := range r.said {
		if _, ok := now[n]; !ok {
			delete(r.said, n)
		}
	}
	var batch []api.ConfigReport
	var names []client.Name
	for _, n := range slices.SortedFunc(maps.Keys(now), compareNames) {
		if r.said[n] == now[n] {
			continue
		}
		if len(batch)+2 > api.MaxConfigReports {
			more = true
			break
		}
		if o := now[n]; o.before.MD5 != "" {
			batch = append(batch, o.before)
		}
		batch, names = append(batch, now[n].report), append(names, n)
	}
	if len(batch) == 0 {
		return false, nil
	}
	if err := r.keeper.client.ReportConfigs(ctx, r.keeper.host.ID, batch); err != nil {
		return more, err
	}
	for _, n := range names {
		r.said[n] = now[n]
	}
	return more, nil
}

// outcomes returns what became of every document that is known. Of one that is
// in several places it says the worst.
func (k *Keeper) outcomes() map[client.Name]outcome {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[client.Name]outcome, len(k.documents))
	for n, d := range k.documents {
		if d.bare && d.exists {
			all[n] = outcome{report: reportOf(n, d.content, api.ReportApplied, "", d.since)}
		}
	}
	for _, t := range k.targets {
		t.outcomes(func(n client.Name, o outcome) {
			if other, ok := all[n]; !ok || weight(o.report.State) > weight(other.report.State) {
				all[n] = o
			}
		})
	}
	return all
}

// weight orders states from good to bad.
func weight(state string) int {
	return slices.Index([]string{api.ReportApplied, api.ReportWritten, api.ReportRejected}, state)
}

func reportOf(n client.Name, d client.Document, state, detail string, at time.Time) api.ConfigReport {
	return api.ConfigReport{
		Namespace: n.Namespace, Group: n.Group, DataID: n.Name, MD5: d.MD5, Release: d.Release,
		State: state, Detail: detail[:min(len(detail), maxDetail)], At: at.UTC().Round(0),
	}
}

// outcomes yields what became of the documents of a target. One that is the
// same in what stands there has come through, whatever became of the others.
func (t *target) outcomes(yield func(client.Name, outcome)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil || t.next.cached {
		return
	}
	for n, d := range t.next.documents {
		stands := t.stands[n.String()]
		switch {
		case t.next == t.done, stands == d.MD5:
			yield(n, outcome{report: reportOf(n, d, api.ReportApplied, "", t.applied)})
		case t.err == nil: // it is being worked on
		case t.err.written:
			yield(n, outcome{report: reportOf(n, d, api.ReportWritten, t.err.what, t.changed)})
		default:
			yield(n, outcome{
				before: reportOf(n, client.Document{MD5: stands}, api.ReportApplied, "", t.applied),
				report: reportOf(n, d, api.ReportRejected, t.err.what, t.changed),
			})
		}
	}
}
