package config_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

func setPolicy(t *testing.T, c *config.Center, p config.Policy) {
	t.Helper()
	if _, err := c.SetPolicy(t.Context(), p, -1); err != nil {
		t.Fatal(err)
	}
}

func TestQuotas(t *testing.T) {
	for _, test := range []struct {
		name    string
		policy  config.Policy
		dataID  string
		content string
		over    string // what is over, empty: nothing
		warns   string
	}{
		{"room for one more", config.Policy{Hard: config.Quota{Count: 3}}, "new", "x", "", ""},
		{"one too many", config.Policy{Hard: config.Quota{Count: 2}}, "new", "x", "count", ""},
		{"another version is none more", config.Policy{Hard: config.Quota{Count: 2}}, "a", "x", "", ""},
		{"a small one under the total", config.Policy{Hard: config.Quota{Total: 21}}, "new", "x", "", ""},
		{"over the total", config.Policy{Hard: config.Quota{Total: 21}}, "new", "xx", "total", ""},
		{"a version that grows over the total", config.Policy{Hard: config.Quota{Total: 21}}, "a", "0123456789xx", "total", ""},
		{"one that shrinks while it is over", config.Policy{Hard: config.Quota{Total: 15}}, "a", "012345678", "", ""},
		{"too large", config.Policy{Hard: config.Quota{Size: 10}}, "a", "0123456789x", "size", ""},
		{"as large as allowed", config.Policy{Hard: config.Quota{Size: 10}}, "a", "012345678x", "", ""},
		{"over a soft count", config.Policy{Soft: config.Quota{Count: 2}}, "new", "x", "", "count would be 3"},
		{"over a soft size", config.Policy{Soft: config.Quota{Size: 5}}, "a", "012345", "", "has 6 bytes"},
		{"over a soft total", config.Policy{Soft: config.Quota{Total: 5}}, "new", "x", "", "total would be 21"},
		{"of the group", config.Policy{Group: "DEFAULT_GROUP", Hard: config.Quota{Count: 2}}, "new", "x", "count", ""},
		{"of another group", config.Policy{Group: "other", Hard: config.Quota{Count: 1}}, "new", "x", "", ""},
	} {
		c := config.New(configtest.NewStore(), config.Config{})
		for _, dataID := range []string{"a", "b"} {
			publish(t, c, config.Draft{Key: key(dataID), Content: []byte("0123456789")})
		}
		test.policy.Namespace = "public"
		setPolicy(t, c, test.policy)
		was := c.Snapshot().Usage("public", "")
		_, receipt, err := c.Publish(t.Context(), config.Draft{Key: key(test.dataID), Content: []byte(test.content)})
		over, refused := errors.AsType[*config.QuotaError](err)
		if refused != (test.over != "") || refused && over.What != test.over || err != nil && !errors.Is(err, config.ErrQuota) {
			t.Errorf("%s: Publish = %v, want over: %q", test.name, err, test.over)
		}
		if refused && c.Snapshot().Usage("public", "") != was {
			t.Errorf("%s: usage %+v, want %+v as before", test.name, c.Snapshot().Usage("public", ""), was)
		}
		if got := strings.Join(receipt.Warnings, ";"); (got == "") != (test.warns == "") || !strings.Contains(got, test.warns) {
			t.Errorf("%s: warnings %q, want %q", test.name, got, test.warns)
		}
	}
}

// However many write at once, no more get in than there is room for.
func TestQuotaHoldsAgainstManyAtOnce(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	setPolicy(t, c, config.Policy{Namespace: "public", Hard: config.Quota{Count: 5}})
	var in atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, _, err := c.Publish(t.Context(), config.Draft{Key: key(fmt.Sprint(i)), Content: []byte("x")})
			switch {
			case err == nil:
				in.Add(1)
			case !errors.Is(err, config.ErrQuota):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := c.Snapshot().Usage("public", "DEFAULT_GROUP"); in.Load() != 5 || got != (config.Usage{Count: 5, Total: 5}) {
		t.Errorf("%d were let in and usage is %+v, want 5", in.Load(), got)
	}
}

// What is counted from change to change is what a list of all comes to.
func TestUsageIsCounted(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	for i := range 40 {
		k := config.Key{Namespace: "public", Group: fmt.Sprint("g", i%3), DataID: fmt.Sprint(i % 10)}
		if i%4 == 3 {
			if _, _, err := c.Delete(t.Context(), k, config.Condition{}, config.Author{}); err != nil {
				t.Fatal(err)
			}
		} else {
			publish(t, c, config.Draft{Key: k, Content: []byte(strings.Repeat("x", i+1))})
		}
		for _, group := range []string{"", "g0", "g1", "g2"} {
			var want config.Usage
			for _, d := range c.Snapshot().Documents() {
				if group == "" || d.Key.Group == group {
					want.Count++
					want.Total += int64(d.Size)
				}
			}
			if got := c.Snapshot().Usage("public", group); got != want {
				t.Fatalf("after %d writes usage of %q is %+v, want %+v", i+1, group, got, want)
			}
		}
	}
}

func TestSetPolicy(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	p := config.Policy{Namespace: "dev", Validate: config.ValidateRefuse, HistoryDays: 7}
	receipt, err := c.SetPolicy(t.Context(), p, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Snapshot().Policy("dev", ""); got.Validate != config.ValidateRefuse || got.Revision != receipt.Revision {
		t.Errorf("policy = %+v, want what was set at %d", got, receipt.Revision)
	}
	again, err := c.SetPolicy(t.Context(), p, -1)
	if err != nil || again.Revision != c.Snapshot().Revision() || again.Revision != receipt.Revision {
		t.Errorf("the same policy again = %+v, %v, want nothing written", again, err)
	}
	if _, err := c.SetPolicy(t.Context(), config.Policy{Namespace: "dev"}, 0); !errors.Is(err, config.ErrConflict) {
		t.Errorf("SetPolicy where there is one = %v, want ErrConflict", err)
	}
	if _, err := c.SetPolicy(t.Context(), config.Policy{Namespace: "dev"}, receipt.Revision); err != nil || len(c.Snapshot().Policies()) != 0 {
		t.Errorf("SetPolicy of none = %v, %d policies, want none", err, len(c.Snapshot().Policies()))
	}
	for name, p := range map[string]config.Policy{
		"no namespace":        {},
		"unknown validation":  {Namespace: "dev", Validate: "strict"},
		"a quota below 0":     {Namespace: "dev", Hard: config.Quota{Size: -1}},
		"history below 0":     {Namespace: "dev", HistoryDays: -1},
		"a count below 0":     {Namespace: "dev", HistoryCount: -1},
		"a group's history":   {Namespace: "dev", Group: "g", HistoryDays: 1},
		"an impossible group": {Namespace: "dev", Group: "g/h"},
	} {
		if _, err := c.SetPolicy(t.Context(), p, -1); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: SetPolicy = %v, want ErrInvalid", name, err)
		}
	}
}

func TestHistoryThatIsKept(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var all []time.Time
	for days := range 40 {
		all = append(all, now.AddDate(0, 0, -days))
	}
	for _, test := range []struct {
		name   string
		policy config.Policy
		all    []time.Time
		gone   bool
		keeps  int
	}{
		{"thirty days without a policy", config.Policy{}, all, false, 31},
		{"as many days as are said", config.Policy{HistoryDays: 3}, all, false, 4},
		{"as many as are said", config.Policy{HistoryDays: 100, HistoryCount: 7}, all, false, 7},
		{"the newest stays however old it is", config.Policy{HistoryDays: 1}, all[30:], false, 1},
		{"not of what is gone", config.Policy{HistoryDays: 1}, all[30:], true, 0},
		{"of what is gone as well while it is young", config.Policy{HistoryCount: 1}, all, true, 1},
		{"only a newer one that is older", config.Policy{}, []time.Time{all[35], all[0]}, false, 2},
		{"none", config.Policy{}, nil, false, 0},
	} {
		if keeps := test.policy.Keeps(test.all, !test.gone, now); keeps != test.keeps {
			t.Errorf("%s: %d of %d are kept, want %d", test.name, keeps, len(test.all), test.keeps)
		}
	}
}

// A policy that is set while a write is decided holds for that write.
func TestPolicyIsCheckedAtTheCommit(t *testing.T) {
	store := &interrupted{Store: configtest.NewStore()}
	c, operator := config.New(store, config.Config{Judge: &judge{}}), config.New(store.Store, config.Config{})
	store.next.Store(new(func() {
		setPolicy(t, operator, config.Policy{Namespace: "public", Validate: config.ValidateRefuse, Hard: config.Quota{Count: 1}})
	}))
	if _, _, err := c.Publish(t.Context(), draft("bad")); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("Publish while validation is set = %v, want ErrInvalid", err)
	}
	store.next.Store(new(func() {
		setPolicy(t, operator, config.Policy{Namespace: "public", Group: "DEFAULT_GROUP", Hard: config.Quota{Size: 1}})
	}))
	if _, _, err := c.Publish(t.Context(), draft("good")); !errors.Is(err, config.ErrQuota) {
		t.Errorf("Publish while a quota is set = %v, want ErrQuota", err)
	}
}
