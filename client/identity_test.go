package client_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func TestIdentityIsSaid(t *testing.T) {
	var got [][]string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, []string{r.Method, r.Header.Get(api.HeaderClient), r.Header.Get(api.HeaderClientTag), r.Header.Get(api.HeaderClientLabels)})
		w.Header().Set(api.HeaderRelease, "canary")
		_, _ = w.Write([]byte(`{}`))
	})
	c, err := client.New([]string{server}, client.Config{Identity: client.Identity{ID: "h1", Tag: "blue", Labels: map[string]string{"zone": "b", "app": "shop"}}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Config(t.Context(), client.Name{Name: "a"})
	if err != nil || d.Release != "canary" {
		t.Errorf("Config = %+v, %v, want it of release canary", d, err)
	}
	if _, err := c.WatchConfigs(t.Context(), nil, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"GET", "h1", "blue", "app=shop,zone=b"}, {"POST", "h1", "blue", "app=shop,zone=b"}, {"GET", "", "", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

func TestIdentityIsChecked(t *testing.T) {
	for name, i := range map[string]client.Identity{
		"an id with a line break":  {ID: "a\r\nX: y"},
		"a tag with a comma":       {Tag: "a,b"},
		"a long tag":               {Tag: strings.Repeat("a", 129)},
		"a label without a key":    {Labels: map[string]string{"": "a"}},
		"a key with a sign":        {Labels: map[string]string{"a=b": "c"}},
		"a label without a value":  {Labels: map[string]string{"a": ""}},
		"a value with a separator": {Labels: map[string]string{"a": "b,c=d"}},
	} {
		if _, err := client.New(nil, client.Config{Identity: i}); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("New with %s = %v, want ErrInvalid", name, err)
		}
	}
}
