package switches_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/musterhq/muster/server/nacos/switches"
)

func TestDefaults(t *testing.T) {
	text, err := json.Marshal(switches.NewBoard(nil).Current())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"masters":null`, `"adWeightMap":{}`, `"defaultPushCacheMillis":10000`, `"clientBeatInterval":5000`,
		`"defaultCacheMillis":3000`, `"distroThreshold":0.7`, `"healthCheckEnabled":true`, `"checkTimes":3`,
		`"httpHealthParams":{"max":5000,"min":500,"factor":0.85}`, `"tcpHealthParams":{"max":5000,"min":1000,"factor":0.75}`,
		`"mysqlHealthParams":{"max":3000,"min":2000,"factor":0.65}`, `"incrementalList":[]`, `"limitedUrlMap":{}`,
		`"pushVersionOfJava":"0.1.0"`, `"pushCVersion":"1.0.12"`, `"overriddenServerStatus":null`, `"defaultInstanceEphemeral":true`,
		`"healthCheckWhiteList":[]`, `"name":"00-00---000-NACOS_SWITCH_DOMAIN-000---00-00"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("defaults = %s, want %s in them", text, want)
		}
	}
}

func TestPut(t *testing.T) {
	for _, tc := range []struct {
		entry, value string
		want         string // in the JSON; empty: refused
	}{
		{"lightBeatEnabled", "false", `"lightBeatEnabled":false`},
		{"lightBeatEnabled", "no", ""},
		{"check", "FALSE", `"healthCheckEnabled":false`},
		{"distroThreshold", "0.5", `"distroThreshold":0.5`},
		{"distroThreshold", "0", ""},
		{"distroThreshold", "NaN", ""},
		{"clientBeatInterval", "7000", `"clientBeatInterval":7000`},
		{"clientBeatInterval", "x", ""},
		{"clientBeatInterval", "99999999999", ""},
		{"pushVersion", "java:1.2.3", `"pushJavaVersion":"1.2.3"`},
		{"pushVersion", "java:1.2", ""},
		{"pushVersion", "java:1.2.x", ""},
		{"pushVersion", "ruby:1.2.3", ""},
		{"pushVersion", "1.2.3", ""},
		{"pushCacheMillis", "10000", `"defaultPushCacheMillis":10000`},
		{"pushCacheMillis", "9999", ""},
		{"defaultCacheMillis", "1000", `"defaultCacheMillis":1000`},
		{"defaultCacheMillis", "999", ""},
		{"masters", "1.1.1.1, 2.2.2.2", `"masters":["1.1.1.1","2.2.2.2"]`},
		{"serviceStatusSynchronizationPeriodMillis", "4999", ""},
		{"serverStatusSynchronizationPeriodMillis", "1000", `"serverStatusSynchronizationPeriodMillis":1000`},
		{"healthCheckTimes", "5", `"checkTimes":5`},
		{"healthCheckTimes", "0", ""},
		{"limitedUrlMap", "/nacos/v1:502,/nacos/v2/ns:403", `"limitedUrlMap":{"/nacos/v1":502,"/nacos/v2/ns":403}`},
		{"limitedUrlMap", "", `"limitedUrlMap":{}`},
		{"limitedUrlMap", "/nacos/v1", ""},
		{"limitedUrlMap", "nacos:502", ""},
		{"limitedUrlMap", "/nacos:99", ""},
		{"overriddenServerStatus", "down", `"overriddenServerStatus":"DOWN"`},
		{"overriddenServerStatus", "null", `"overriddenServerStatus":null`},
		{"overriddenServerStatus", "GONE", ""},
		{"httpHealthParams", `{"max":6000,"min":600,"factor":0.5}`, `"httpHealthParams":{"max":6000,"min":600,"factor":0.5}`},
		{"tcpHealthParams", `{"max":2999,"min":600,"factor":0.5}`, ""},
		{"tcpHealthParams", `{"max":3000,"min":499,"factor":0.5}`, ""},
		{"tcpHealthParams", `{"max":3000,"min":500,"factor":1.5}`, ""},
		{"tcpHealthParams", `{`, ""},
		{"nothing", "1", ""},
		{"masters", strings.Repeat("x", 5000), ""},
	} {
		b := switches.NewBoard(nil)
		before, _ := json.Marshal(b.Current())
		err := b.PutHere(tc.entry, tc.value)
		after, _ := json.Marshal(b.Current())
		if tc.want == "" {
			if _, refused := errors.AsType[*switches.ValueError](err); !refused || string(before) != string(after) {
				t.Errorf("Put(%s, %.40s) = %v and %s, want a refusal that changes nothing", tc.entry, tc.value, err, after)
			}
			continue
		}
		if err != nil || !strings.Contains(string(after), tc.want) {
			t.Errorf("Put(%s, %s) = %v and %s, want %s", tc.entry, tc.value, err, after, tc.want)
		}
	}
}

func TestARefusalIsShort(t *testing.T) {
	if err := switches.NewBoard(nil).PutHere(strings.Repeat("x", 1<<20), ""); err == nil || len(err.Error()) > 500 {
		t.Errorf("of an entry of 1 MiB: %.100v, want a few words", err)
	}
}

func TestChangesAreTold(t *testing.T) {
	b := switches.NewBoard(nil)
	var told []bool
	b.OnChange(func(s *switches.Set) { told = append(told, s.PushEnabled) })
	if err := b.PutHere("pushEnabled", "false"); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || !told[0] || told[1] {
		t.Errorf("told of pushEnabled %v, want true and false", told)
	}
}

func TestStatusAndLimits(t *testing.T) {
	b := switches.NewBoard(nil)
	if s := b.Current(); s.Status() != "UP" || s.Limited("/nacos/v1/ns/instance") != 0 {
		t.Errorf("at first %s, limited %d; want UP, unlimited", s.Status(), s.Limited("/nacos/v1/ns/instance"))
	}
	for entry, value := range map[string]string{"overriddenServerStatus": "READ_ONLY", "limitedUrlMap": "/nacos/v1/ns/instance:502"} {
		if err := b.PutHere(entry, value); err != nil {
			t.Fatal(err)
		}
	}
	s := b.Current()
	if s.Status() != "READ_ONLY" || s.Limited("/nacos/v1/ns/instance/list") != 502 || s.Limited("/nacos/v1/ns/service") != 0 {
		t.Errorf("%s, limited %d and %d; want READ_ONLY, 502 and 0", s.Status(), s.Limited("/nacos/v1/ns/instance/list"), s.Limited("/nacos/v1/ns/service"))
	}
}

func TestWhatServersShare(t *testing.T) {
	entries, revision := map[string]string{}, int64(1)
	b := switches.NewBoard(func() (map[string]string, int64) { return entries, revision })
	told := 0
	b.OnChange(func(*switches.Set) { told++ })
	keep := func(entry, value string) {
		t.Helper()
		e, err := b.Check(entry, value)
		if err != nil {
			t.Fatal(err)
		}
		if entries[e.Key] = e.Value; e.Value == "" {
			delete(entries, e.Key)
		}
		revision++
	}
	keep("pushVersion", "java:1.0.0")
	keep("pushVersion", "go:2.0.0")
	keep("healthCheckEnabled", "false")
	entries["ofTomorrow"], entries["clientBeatInterval"] = "1", "nonsense"
	s := b.Current()
	if s.PushJavaVersion != "1.0.0" || s.PushGoVersion != "2.0.0" || s.HealthCheckEnabled || s.ClientBeatInterval != 5000 || told != 2 {
		t.Errorf("Current = %+v, told %d times; want both versions, no checks, the default interval, told twice", s, told)
	}
	if err := b.PutHere("check", "true"); err != nil || !b.Current().HealthCheckEnabled {
		t.Errorf("PutHere = %v, checks %t; want this server's own say", err, b.Current().HealthCheckEnabled)
	}
	b.Forget(switches.Entry{Key: "check"})
	if b.Current().HealthCheckEnabled {
		t.Error("after Forget checks are on, want what the servers share")
	}
	keep("check", "true")
	if _, kept := entries["check"]; kept || !b.Current().HealthCheckEnabled {
		t.Errorf("a default is kept: %v", entries)
	}
}

func FuzzPut(f *testing.F) {
	for _, seed := range [][2]string{{"limitedUrlMap", "/a:200,/b:500"}, {"pushVersion", "c:1.0.0"}, {"httpHealthParams", `{"max":3000}`}, {"masters", ",,"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, entry, value string) {
		b := switches.NewBoard(nil)
		was := b.Current()
		if err := b.PutHere(entry, value); err != nil && b.Current() != was {
			t.Errorf("Put(%q, %q) = %v and changed the set", entry, value, err)
		}
		if _, err := json.Marshal(b.Current()); err != nil {
			t.Errorf("after Put(%q, %q) the set is no JSON: %v", entry, value, err)
		}
	})
}
