package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// eventOf is an event about a service and instances of it at ports, each with a weight.
func eventOf(name string, whole bool, weights map[uint16]float64, gone ...string) client.Event {
	e := api.ServiceEvent{Revision: 7, Service: api.Service{Name: name}, Whole: whole, Gone: gone}
	for port, w := range weights {
		e.Instances = append(e.Instances, api.Instance{Address: "h", Port: port, Weight: &w})
	}
	return client.Event{Kind: api.EventService, Revision: 7, Service: &e}
}

func TestLedger(t *testing.T) {
	reset, synced := client.Event{Kind: api.EventReset}, client.Event{Kind: api.EventSynced, Revision: 8}
	renamed := eventOf("a", false, nil)
	renamed.Service.Service.ProtectThreshold = 1
	for _, c := range []struct {
		name   string
		events []client.Event
		want   []string
	}{
		{"what is there comes", []client.Event{reset, eventOf("a", true, map[uint16]float64{2: 1, 1: 1}), synced},
			[]string{"added a", "added a h:1 1", "added a h:2 1"}},
		{"a weight changes", []client.Event{eventOf("a", true, map[uint16]float64{1: 1, 2: 1}), eventOf("a", false, map[uint16]float64{2: 5})},
			[]string{"added a", "added a h:1 1", "added a h:2 1", "changed a h:2 5"}},
		{"the service changes alone", []client.Event{eventOf("a", true, nil), renamed}, []string{"added a", "changed a"}},
		{"what is told twice is nothing new", []client.Event{eventOf("a", true, map[uint16]float64{1: 1}), eventOf("a", false, map[uint16]float64{1: 1})},
			[]string{"added a", "added a h:1 1"}},
		{"an instance goes", []client.Event{eventOf("a", true, map[uint16]float64{1: 1, 2: 1}), eventOf("a", false, nil, "h:1", "h:9")},
			[]string{"added a", "added a h:1 1", "added a h:2 1", "removed a h:1 1"}},
		{"all is told anew, without one", []client.Event{eventOf("a", true, map[uint16]float64{1: 1, 2: 1}), eventOf("a", true, map[uint16]float64{2: 1})},
			[]string{"added a", "added a h:1 1", "added a h:2 1", "removed a h:1 1"}},
		{"a service goes with its instances", []client.Event{eventOf("a", true, map[uint16]float64{1: 1}), {Kind: api.EventRemoved, Removed: &api.ServiceRef{Name: "a"}}},
			[]string{"added a", "added a h:1 1", "removed a h:1 1", "removed a"}},
		{"one that nobody knew goes", []client.Event{{Kind: api.EventRemoved, Removed: &api.ServiceRef{Name: "a"}}}, nil},
		{"a stream begins anew after one went", []client.Event{
			reset, eventOf("a", true, map[uint16]float64{1: 1}), eventOf("b", true, nil), synced,
			reset, eventOf("a", true, map[uint16]float64{1: 1}), synced},
			[]string{"added a", "added a h:1 1", "added b", "removed b"}},
		{"a stream begins anew twice before it has told all", []client.Event{
			reset, eventOf("a", true, nil), eventOf("b", true, nil), synced, reset, eventOf("b", true, nil), reset, eventOf("a", true, nil), synced},
			[]string{"added a", "added b", "removed b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			known := newLedger()
			for _, e := range c.events {
				for _, ch := range known.take(e) {
					text := ch.kind + " " + ch.service.Name
					if i := ch.instance; i != nil {
						text += fmt.Sprintf(" %s %v", client.Endpoint(i.Address, i.Port), *i.Weight)
					}
					got = append(got, text)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("changes of %s (-want +got):\n%s", c.name, diff)
			}
		})
	}
}

func TestPrintout(t *testing.T) {
	for format, want := range map[string]string{
		"table": "CHANGE  NAME\nadded   a\nadded   a-long-one\nremoved  a\nadded    another-long-one  \\x1b[2J\\u202e\n",
		"json":  "\"a\"\n\"a-long-one\"\n\"a\"\n\"another-long-one\"\n",
		"yaml":  "---\na\n---\na-long-one\n---\na\n---\nanother-long-one\n",
	} {
		var b strings.Builder
		p := &printout{w: &b, format: format, heading: []string{"CHANGE", "NAME"}}
		add := func(cells ...string) {
			if err := p.add(cells[1], cells); err != nil {
				t.Fatal(err)
			}
		}
		add("added", "a")
		add("added", "a-long-one")
		for range 2 { // the second one has nothing to do
			if err := p.flush(); err != nil {
				t.Fatal(err)
			}
		}
		add("removed", "a")
		add("added", "another-long-one", "\x1b[2J\u202e")
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("printout as %s (-want +got):\n%s", format, diff)
		}
	}
}

func TestMetadataEdits(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  map[string]string // of a=1,b=2; nil: refused
	}{
		{[]string{"c=3"}, map[string]string{"a": "1", "b": "2", "c": "3"}},
		{[]string{"a=", "b-"}, map[string]string{"a": ""}},
		{[]string{"a=x=y,z"}, map[string]string{"a": "x=y,z", "b": "2"}},
		{[]string{"a-", "a=9"}, map[string]string{"a": "9", "b": "2"}},
		{[]string{"a=9", "a-"}, map[string]string{"b": "2"}},
		{[]string{"k-=1"}, map[string]string{"a": "1", "b": "2", "k-": "1"}},
		{[]string{"nothing-"}, map[string]string{"a": "1", "b": "2"}},
		{[]string{"a"}, nil}, {[]string{"-"}, nil}, {[]string{"=1"}, nil}, {[]string{""}, nil},
	} {
		var e edits
		var err error
		for _, word := range c.words {
			if err = e.Set(word); err != nil {
				break
			}
		}
		stands := map[string]string{"a": "1", "b": "2"}
		if got := e.over(stands); (err != nil) != (c.want == nil) || c.want != nil && !cmp.Equal(got, c.want) {
			t.Errorf("edits %q = %v, %v, want %v", c.words, got, err, c.want)
		}
		if len(stands) != 2 || stands["a"] != "1" {
			t.Errorf("edits %q changed what stood: %v", c.words, stands)
		}
	}
}

func TestPairsAreSafeToPrint(t *testing.T) {
	if got, want := pairs(map[string]string{"a": "x,y", "b": "\x1b[2J\n"}), `"b=\x1b[2J\n",a=x,y`; got != want {
		t.Errorf("pairs = %s, want %s", got, want)
	}
}
