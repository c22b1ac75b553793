package nacos_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/server/nacos"
)

func TestParams(t *testing.T) {
	for _, tc := range []struct {
		name  string
		texts []string
		want  map[string]string
	}{
		{"nothing", []string{""}, map[string]string{}},
		{"a pair, a bare name and an empty value", []string{"a=1&b&c="}, map[string]string{"a": "1", "b": "", "c": ""}},
		{"escapes and blanks", []string{"a%20b=%E4%B8%AD+%2B"}, map[string]string{"a b": "中 +"}},
		{"escapes that are none", []string{"a=100%&b=%zz%4&c=%%41"}, map[string]string{"a": "100%", "b": "%zz%4", "c": "%A"}},
		{"a semicolon", []string{"a=1;b=2&c=;"}, map[string]string{"a": "1;b=2", "c": ";"}},
		{"more than one =", []string{"a=k=v,k2=v2"}, map[string]string{"a": "k=v,k2=v2"}},
		{"unescaped JSON", []string{`beat={"ip":"1.2.3.4","metadata":{"a":"b"}}&x=1`}, map[string]string{
			"beat": `{"ip":"1.2.3.4","metadata":{"a":"b"}}`, "x": "1"}},
		{"the first of one name", []string{"a=1&a=2"}, map[string]string{"a": "1"}},
		{"the query before the body", []string{"a=query&b=1", "a=body&c=2"}, map[string]string{"a": "query", "b": "1", "c": "2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := nacos.ParseParams(tc.texts...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("ParseParams(%q) (-want +got)\n%s", tc.texts, diff)
			}
		})
	}
}

func TestTooManyParams(t *testing.T) {
	var b strings.Builder
	for i := range 10001 {
		b.WriteString("&p" + strconv.Itoa(i) + "=1")
	}
	server := newWorld(t).serve(t)
	ask("PUT /nacos/v1/ns/instance "+b.String(), "400", "=more than 10000 parameters").run(t, server.URL)
}

// Whatever a well-behaved parser understands is understood the same way.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{"", "a=1&b=2", "a=%41+b", "%zz=%", `beat={"a":"b&c"}`, "a;b=1", "=", "&&=&", "a=1&a=2", "\x00=\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := nacos.ParseParams(text)
		if err != nil {
			if strings.Count(text, "&") < 10000 {
				t.Fatalf("ParseParams(%q): %v", text, err)
			}
			return
		}
		strict, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		want := map[string]string{}
		for name, values := range strict {
			want[name] = values[0]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseParams(%q) (-strict +got)\n%s", text, diff)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{"", "k=v", "k=v,k2=v2", `{"a":"b","n":1,"t":true,"z":null}`, `{"a":{}}`, "{", "k=", "=v", "null", "[]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := nacos.ParseMetadata(text)
		if err != nil && m != nil {
			t.Errorf("ParseMetadata(%q) = %v and %v, want one of them", text, m, err)
		}
		if err == nil && m == nil && text != "" {
			t.Errorf("ParseMetadata(%q) = nothing, want metadata or an error", text)
		}
	})
}

// What a client is told has changed is what it asked about.
func FuzzListened(f *testing.F) {
	for _, seed := range []string{"", "d\x02g\x02m\x01", "d\x02g\x02\x02t\x01", "d\x02g\x01", "\x01", "d%02g%02m%01", "a\x02b\x02c\x02d\x02e\x01", "x\x01y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, encoded, err := nacos.ParseListened(text)
		if err != nil {
			if len(keys) != 0 {
				t.Errorf("ParseListened(%q) = %v and %v, want one of them", text, keys, err)
			}
			return
		}
		told, err := url.QueryUnescape(encoded)
		if err != nil {
			t.Fatalf("ParseListened(%q) is told as %q: %v", text, encoded, err)
		}
		lines := strings.Split(told, "\x01")
		if len(lines) != len(keys)+1 {
			t.Fatalf("ParseListened(%q) names %d documents and tells of %q", text, len(keys), told)
		}
		for i, k := range keys {
			if !strings.HasPrefix(lines[i], k.DataID+"\x02"+k.Group) {
				t.Errorf("ParseListened(%q): document %v is told as %q", text, k, lines[i])
			}
		}
	})
}

// Any beat is answered with the code of success or of a bad request, and what
// it registers is what the list shows.
func FuzzBeat(f *testing.F) {
	for _, seed := range []string{
		`{"serviceName":"DEFAULT_GROUP@@s","ip":"1.1.1.1","port":80,"cluster":"c","weight":1.0,"metadata":{"a":"b"},"scheduled":false}`,
		`{"ip":"::1","port":"80","weight":"NaN","metadata":"a=b"}`, `{"ip":1}`, `null`, `[]`, `{"metadata":[]}`, `{"ip":"h","port":1e3}`, "{",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, beat string) {
		w := newWorld(t)
		rec := send(t, w, "PUT", "/nacos/v1/ns/instance/beat?serviceName=s", "beat="+url.QueryEscape(beat))
		services, instances, _ := w.reg.Snapshot().Counts()
		switch {
		case rec.Code == 200 && strings.Contains(rec.Body.String(), `"code":10200`) && services == 1 && instances == 1:
		case rec.Code == 200 && strings.Contains(rec.Body.String(), `"code":20404`) && strings.TrimSpace(beat) == "":
		case rec.Code == 400 && services == 0 && instances == 0:
		default:
			t.Errorf("beat %q = %d %q with %d services and %d instances", beat, rec.Code, rec.Body, services, instances)
		}
	})
}

// A checker that is taken is shown as one that is taken as the same.
func FuzzChecker(f *testing.F) {
	for _, seed := range []string{`{"type":"TCP"}`, `{"type":"HTTP","path":"/h","headers":"A:1|B:2","expectedResponseCode":200}`,
		`{"type":"HTTP","expectedResponseCode":"x"}`, `{"type":"MYSQL","user":"u","pwd":"p","cmd":"c"}`, `{"type":"NONE"}`, `{}`, "[", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		check, shown, err := nacos.ParseChecker(text)
		if err != nil || check.Validate() != nil {
			return
		}
		again, _, err := nacos.ParseChecker(shown)
		if err != nil {
			t.Fatalf("ParseChecker(%q) is shown as %q: %v", text, shown, err)
		}
		check.Password = "" // which is not shown
		if diff := cmp.Diff(check, again); diff != "" {
			t.Errorf("ParseChecker(%q), shown as %q (-want +got)\n%s", text, shown, diff)
		}
	})
}

func FuzzSelector(f *testing.F) {
	for _, seed := range []string{`{"type":"none"}`, `{"type":"label","expression":"CONSUMER.label.a = PROVIDER.label.a"}`, "%7B%22type%22%3A%22none%22%7D", "x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := nacos.ParseSelector(text); err != nil && s.Labels != "" {
			t.Errorf("ParseSelector(%q) = %v and %v, want one of them", text, s, err)
		}
	})
}
