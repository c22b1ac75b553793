package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/internal/atomicfile"
)

// Admin is the name of the administrator that the first start makes.
const Admin = "admin"

// Run makes what a store without users needs, a signing key and an administrator
// whose password is drawn at random, and returns nil when ctx ends. It is an error
// that the keys of the store do not open: this server could let nobody in.
func (a *Authority) Run(ctx context.Context) error {
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		err := a.begin(ctx)
		if err == nil {
			<-ctx.Done()
			break
		}
		if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrConflict) && ctx.Err() == nil {
			return fmt.Errorf("auth: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
	return nil
}

// begin returns nil once there is a key and an administrator was made, by whomever.
func (a *Authority) begin(ctx context.Context) error {
	if !a.cfg.Store.View().Wait(ctx, 0) {
		return context.Cause(ctx)
	}
	keys, err := a.keys()
	if err != nil {
		return err
	}
	if keys.err != nil {
		return errors.Join(keys.err, a.settle(keys.of))
	}
	if keys.of.started() {
		return a.settle(keys.of)
	}
	return a.first(ctx, keys.of)
}

// debut is what the first start makes. It is made once, so that after a write of which
// nobody knows what became of it the same is tried again: else the file could tell
// another password than the one that was written.
type debut struct {
	secret string
	start  *Start
	admin  *User
	key    *SigningKey
}

// first makes key and administrator in one write, so that of several servers that
// start at once one does.
func (a *Authority) first(ctx context.Context, s *Snapshot) error {
	if a.debut == nil {
		d, err := a.newDebut(ctx)
		if err != nil {
			return err
		}
		a.debut = d
	}
	// The file comes first: who has an administrator without its password is locked out.
	if err := atomicfile.Write(a.cfg.SecretFile, []byte(a.debut.secret+"\n"), atomicfile.Private); err != nil {
		return fmt.Errorf("password of the first administrator: %w", err)
	}
	w := Write{Puts: []Record{a.debut.start, a.debut.admin, a.debut.key}}
	for _, rec := range w.Puts {
		w.Checks = append(w.Checks, s.check(rec.RecordKey()))
	}
	if err := a.commit(ctx, w); err != nil {
		return err
	}
	return a.settle(a.Snapshot())
}

func (a *Authority) newDebut(ctx context.Context) (*debut, error) {
	now := a.cfg.Now().UTC()
	d := &debut{secret: strings.ToLower(rand.Text()), start: &Start{At: now}}
	hash, err := a.hasher.hash(ctx, d.secret)
	if err != nil {
		return nil, err
	}
	d.admin = &User{Name: Admin, Password: hash, Roles: []string{access.RoleAdmin}, Epoch: newEpoch(), Created: now}
	d.key, err = newKey(a.cfg.Vault, now, now)
	return d, err
}

// settle says where the password is, once an administrator is there; it removes the file
// when another server made that one.
func (a *Authority) settle(s *Snapshot) error {
	if a.debut == nil {
		return nil
	}
	if u := s.User(Admin); u == nil || u.Epoch != a.debut.admin.Epoch {
		return os.Remove(a.cfg.SecretFile)
	}
	a.cfg.Logger.Warn("made the first administrator: take its password from the file, and delete that", "user", Admin, "file", a.cfg.SecretFile)
	return nil
}
