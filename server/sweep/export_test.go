package sweep

import (
	"context"
	"time"

	"github.com/musterhq/muster/registry"
)

// Ticks is a Run whose ticks come when the test says so.
type Ticks struct{ j *judge }

// Begin begins to judge, as Run does.
func (s *Sweeper) Begin(view *registry.View, reg Registry) Ticks { return Ticks{s.open(view, reg)} }

// Tick is one tick, at whatever time it is.
func (t Ticks) Tick(ctx context.Context) { t.j.tick(ctx) }

// End ends the Run; the context of its ticks has ended.
func (t Ticks) End() { t.j.close() }

// Rows returns how many rows the table has, and how many places it uses for them.
func (s *Sweeper) Rows() (rows, places int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.len(), len(s.table.rows)
}

// Fill makes a table of n witnesses whose deadlines come one after another within a
// while from an hour on, as of those who beat all the time.
func (s *Sweeper) Fill(n int, witness func(i int) string) {
	s.table = newTable(s.config, s.now())
	for i := range n {
		t := registry.Timeouts{Interval: time.Second, Unhealthy: time.Hour, Delete: 2 * time.Hour}
		s.table.join(registry.Roster{Witness: witness(i), Class: "3600000-7200000", Timeouts: t}, s.now()+int64(i)*int64(5*time.Second)/int64(n), false)
	}
	s.judging.Store(true)
}

// Forget has the next scan look at every row.
func (s *Sweeper) Forget() { clear(s.table.bound) }

// Scan looks for rows that are due and returns how many are.
func (s *Sweeper) Scan() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.table.due(s.now(), nil))
}
