package nacoswire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/internal/nacoswire"
)

func TestAddParams(t *testing.T) {
	for _, c := range []struct {
		name, query, body string
		want              map[string]string
	}{
		{"nothing", "", "&&", map[string]string{}},
		{"the query wins", "a=1", "a=2&b=3", map[string]string{"a": "1", "b": "3"}},
		{"escapes", "a=%41+b&%62=1%3D2", "", map[string]string{"a": "A b", "b": "1=2"}},
		{"what is no escape", "a=%&b=%zz&c=%4", "", map[string]string{"a": "%", "b": "%zz", "c": "%4"}},
		{"unescaped JSON", `m={"a":"b=c;d"}`, "", map[string]string{"m": `{"a":"b=c;d"}`}},
		{"a name alone", "a", "", map[string]string{"a": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := map[string]string{}
			if !nacoswire.AddParams(got, c.query) || !nacoswire.AddParams(got, c.body) {
				t.Fatal("AddParams = false, want true")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}
	var b strings.Builder
	for i := range nacoswire.MaxParams + 1 {
		b.WriteString(strings.Repeat("a", i%100) + string(rune('0'+i/100%10)) + string(rune('0'+i/1000)) + "=1&")
	}
	if nacoswire.AddParams(map[string]string{}, b.String()) {
		t.Errorf("AddParams of %d parameters = true, want false", nacoswire.MaxParams+1)
	}
}

func TestBeat(t *testing.T) {
	var got nacoswire.Beat
	err := json.Unmarshal([]byte(`{"ip":" 192.0.2.1 ","port":"80","weight":1.5,"cluster":null,"metadata":{"a":1},"other":[]}`), &got)
	want := nacoswire.Beat{IP: "192.0.2.1", Port: "80", Weight: "1.5", Metadata: json.RawMessage(`{"a":1}`)}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("beat: %v, (-want +got):\n%s", err, diff)
	}
	if err := json.Unmarshal([]byte(`{"port":{}}`), &got); err == nil {
		t.Error("a port that is an object is taken, want an error")
	}
}

func TestTexts(t *testing.T) {
	got, ok := nacoswire.Texts([]byte(`{"a":"x","b":1,"c":true,"d":null}`))
	if diff := cmp.Diff(map[string]string{"a": "x", "b": "1", "c": "true"}, got); !ok || diff != "" {
		t.Errorf("Texts = %v, (-want +got):\n%s", ok, diff)
	}
	for _, wrong := range []string{"", "null", "[]", `{"a":{}}`, `{"a":[1]}`, `{"a"`} {
		if _, ok := nacoswire.Texts([]byte(wrong)); ok {
			t.Errorf("Texts(%s) = true, want false", wrong)
		}
	}
}

func TestListened(t *testing.T) {
	const text = "app\x02G\x02md5\x01other%2Btext\x02H\x02\x02t\x01rest"
	got, ok := nacoswire.ParseListened(text)
	want := []nacoswire.Listened{{DataID: "app", Group: "G", MD5: "md5"}, {DataID: "other+text", Group: "H", Tenant: "t"}}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("ParseListened = %v, (-want +got):\n%s", ok, diff)
	}
	if got, want := nacoswire.Changed("app", "G", "")+nacoswire.Changed("b", "H", "t"), "app\x02G\x01b\x02H\x02t\x01"; got != want {
		t.Errorf("Changed = %q, want %q", got, want)
	}
	for _, wrong := range []string{"", " ", "app\x01", "a\x02b\x02c\x02d\x02e\x01", strings.Repeat("a\x02b\x02c\x01", 10001)} {
		if _, ok := nacoswire.ParseListened(wrong); ok {
			t.Errorf("ParseListened(%.20q) = true, want false", wrong)
		}
	}
}
