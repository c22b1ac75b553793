package benchdns_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/musterhq/muster/test/benchdns/contest"
)

// questions are those of a mix, as the loads take them.
type questions struct {
	packed [][]byte
	file   string
}

// asked keeps questions that were made before.
type asked struct {
	dir string
	all map[string]questions // by mix and the name of a service
}

// of returns the questions of a mix to a contestant.
func (a *asked) of(t *testing.T, m contest.Mix, c *contest.Contestant) questions {
	t.Helper()
	key := m.Name + " " + c.Names("s0000")
	if q, made := a.all[key]; made {
		return q
	}
	all := m.Questions(c.Names)
	q := questions{file: filepath.Join(a.dir, fmt.Sprint(len(a.all)))}
	var err error
	if q.packed, err = contest.Pack(all); err == nil {
		err = os.WriteFile(q.file, []byte(contest.Lines(all)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.all[key] = q
	return q
}
