package main

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/client"
)

// A change is written over what was read, anew when somebody was faster, and only
// where nothing else was asked for.
func TestAmend(t *testing.T) {
	lost := &client.Error{Status: http.StatusPreconditionFailed}
	for _, c := range []struct {
		name  string
		on    client.Terms
		tags  []string // as they are read, the last one again and again
		fails []error  // of the writes, those after them succeed
		want  []client.Terms
		err   error
	}{
		{name: "over what stands", tags: []string{"7"}, want: []client.Terms{{IfMatch: "7"}}},
		{name: "where nothing stands", tags: []string{""}, want: []client.Terms{{CreateOnly: true}}},
		{name: "to try it", on: client.Terms{DryRun: true}, tags: []string{"7"}, want: []client.Terms{{IfMatch: "7", DryRun: true}}},
		{name: "somebody was faster", tags: []string{"", "7", "8"}, fails: []error{lost, lost},
			want: []client.Terms{{CreateOnly: true}, {IfMatch: "7"}, {IfMatch: "8"}}},
		{name: "somebody is always faster", tags: []string{"7"}, fails: []error{lost, lost, lost, lost, lost, lost},
			want: []client.Terms{{IfMatch: "7"}, {IfMatch: "7"}, {IfMatch: "7"}, {IfMatch: "7"}, {IfMatch: "7"}}, err: client.ErrConflict},
		{name: "in conflict for another reason", tags: []string{"7"}, fails: []error{&client.Error{Status: http.StatusConflict}},
			want: []client.Terms{{IfMatch: "7"}}, err: client.ErrConflict},
		{name: "over a revision that stands", on: client.Terms{IfMatch: "7"}, tags: []string{"7"}, want: []client.Terms{{IfMatch: "7"}}},
		{name: "over a revision that stood", on: client.Terms{IfMatch: "6"}, tags: []string{"7"}, err: client.ErrConflict},
		{name: "over a revision, and somebody was faster", on: client.Terms{IfMatch: "7"}, tags: []string{"7"}, fails: []error{lost},
			want: []client.Terms{{IfMatch: "7"}}, err: client.ErrConflict},
		{name: "only what is new", on: client.Terms{CreateOnly: true}, tags: []string{""}, want: []client.Terms{{CreateOnly: true}}},
		{name: "only what is new, and it is not", on: client.Terms{CreateOnly: true}, tags: []string{"7"}, err: client.ErrConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var wrote []client.Terms
				reads := 0
				err := amend(t.Context(), c.on, func() (string, error) {
					reads++
					return c.tags[min(reads, len(c.tags))-1], nil
				}, func(over client.Terms) error {
					wrote = append(wrote, over)
					if len(wrote) <= len(c.fails) {
						return c.fails[len(wrote)-1]
					}
					return nil
				})
				if diff := cmp.Diff(c.want, wrote); diff != "" || !errors.Is(err, c.err) {
					t.Errorf("amend = %v, want %v; writes (-want +got):\n%s", err, c.err, diff)
				}
			})
		})
	}
}
