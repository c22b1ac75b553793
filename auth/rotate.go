package auth

import (
	"context"
	"time"
)

// rotateLead is how long a new key is known before it signs: a server that has not
// heard of it would refuse what another one signed.
const rotateLead = 10 * time.Second

// Rotate makes a new signing key. The others verify for as long as a token of theirs
// can be valid; with atOnce they end now, and everybody has to log in again.
func (a *Authority) Rotate(ctx context.Context, atOnce bool) (*SigningKey, error) {
	now := a.cfg.Now().UTC()
	begins, ends := now.Add(rotateLead), now.Add(rotateLead+NacosLife)
	if atOnce {
		begins, ends = now, now
	}
	key, err := newKey(a.cfg.Vault, now, begins)
	if err != nil {
		return nil, err
	}
	return key, a.retry(ctx, func(s *Snapshot) (Write, error) {
		w := Write{Checks: []Check{s.check(key.RecordKey())}, Puts: []Record{key}}
		for old := range s.Keys() {
			w.Checks = append(w.Checks, s.check(old.RecordKey()))
			switch {
			case atOnce, old.Ends != nil && old.Ends.Before(now.Add(-leeway)):
				w.Deletes = append(w.Deletes, old.RecordKey())
			case old.Ends == nil:
				ending := *old
				ending.Ends = &ends
				w.Puts = append(w.Puts, &ending)
			}
		}
		return w, nil
	})
}
