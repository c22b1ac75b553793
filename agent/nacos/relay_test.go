package nacos_test

import (
	"testing"

	"github.com/musterhq/muster/agent/nacos"
)

func TestWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"a=1&b=%20+&c":              "a=1&b=%20+&c",
		"accessToken=x":             "",
		"accessToken":               "",
		"accessToken=x&a=1":         "a=1",
		"a=1&accessToken=x":         "a=1",
		"a=1&password=x&b=2&&c":     "a=1&b=2&c",
		"accessToken=x&accessToken": "",
		"a=accessToken=x&username=nacos&password=%26a": "a=accessToken=x&username=nacos",
		"%61ccess%54oken=x&a=1":                        "a=1",
		"%61%63%63%65%73%73%54%6f%6b%65%6e=x&a=1":      "a=1",
		"accesstoken=x":                                "accesstoken=x", // no server takes it for one
		"content=a%26accessToken%3Dx":                  "content=a%26accessToken%3Dx",
	} {
		if got := string(nacos.WithoutSecrets([]byte(text))); got != want {
			t.Errorf("WithoutSecrets(%q) = %q, want %q", text, got, want)
		}
	}
}
