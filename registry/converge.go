package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// converge commits the writes of a rule, all at once, and asks the rule again
// until nothing is left to write: some may fail as records changed meanwhile.
func (r *Registry) converge(ctx context.Context, rule func(*agentPlans)) (Receipt, []Refusal, error) {
	receipt := Receipt{}
	now := r.current()
	for range maxAttempts {
		snap := r.Snapshot()
		if snap == nil {
			return receipt, nil, ErrUnavailable
		}
		p := &agentPlans{snap: snap}
		rule(p)
		committed, stale, err := r.commitAll(ctx, p.plans)
		if err != nil {
			return receipt, nil, err
		}
		if committed == 0 && stale == 0 {
			// What this call wrote came after all that was committed before it.
			if !receipt.Wrote || snap.Revision() < receipt.Revision {
				shown, err := now.ShownBy(ctx, snap)
				if err != nil {
					return receipt, nil, behind(err)
				}
				if !shown {
					continue
				}
			}
			receipt.Revision = max(receipt.Revision, snap.Revision())
			return receipt, p.refused, nil
		}
		receipt.Revision = max(receipt.Revision, committed)
		receipt.Wrote = receipt.Wrote || committed > 0
		if r.visible(ctx, max(committed, stale)) {
			continue
		}
		if stale > 0 { // part of the set is not written, and what to write instead cannot be seen
			return receipt, nil, ErrUnavailable
		}
		receipt.Lagging = true
		return receipt, p.refused, nil
	}
	return receipt, nil, fmt.Errorf("the set kept changing: %w", ErrConflict)
}

// commitAll commits plans together. It returns the newest revision that one was
// committed at, and the newest at which the check of one failed; 0 when there was
// none.
func (r *Registry) commitAll(ctx context.Context, plans []*plan) (committed, stale int64, failure error) {
	var writes []Write
	for _, p := range plans {
		if !p.empty() {
			writes = append(writes, p.Write)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, o := range r.commitEach(ctx, writes) {
		if s := (*StaleError)(nil); errors.As(o.Err, &s) {
			stale = max(stale, s.Revision)
		} else if o.Err != nil {
			failure = o.Err
		} else {
			committed = max(committed, o.Revision)
		}
	}
	return committed, stale, failure
}

// commitEach commits writes at once, concurrently where the store does not take all
// of them.
func (r *Registry) commitEach(ctx context.Context, writes []Write) []Outcome {
	if set, ok := r.store.(SetStore); ok && len(writes) > 0 {
		return set.CommitAll(ctx, writes)
	}
	outcomes := make([]Outcome, len(writes))
	var wg sync.WaitGroup
	for i, w := range writes {
		wg.Go(func() { outcomes[i].Revision, outcomes[i].Err = r.store.Commit(ctx, w) })
	}
	wg.Wait()
	return outcomes
}
