package main

import (
	"encoding/json"
	"net/http"
	"testing"
)

// The setting is in force however it is said, also after a restart.
func TestProtectAtZeroIsSet(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  []string
		want int
	}{
		{"nothing", nil, nil, 0},
		{"flag", []string{"--nacos-protect-at-zero"}, nil, 1},
		{"variable", nil, []string{"MUSTER_NACOS_PROTECT_AT_ZERO=true"}, 1},
		{"file", []string{"--config", fileWith(t, "nacos_protect_at_zero: true\n")}, nil, 1},
		{"flag over the file", []string{"--config", fileWith(t, "nacos_protect_at_zero: true\n"), "--nacos-protect-at-zero=false"}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, t.TempDir(), c.args...)
			s.env = c.env
			s.start()
			t.Cleanup(s.stop)
			v := persistent("sick", "192.0.2.1")
			v["healthy"] = []string{"false"}
			s.call(http.MethodPost, pathInstance, v)
			s.stop()
			s.start()
			var list struct{ Hosts []host }
			body := s.call(http.MethodGet, pathInstance+"/list", params("serviceName", "sick", "healthyOnly", "true"))
			if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Hosts) != c.want {
				t.Errorf("healthy hosts = %s, %v, want %d", body, err, c.want)
			}
			at, err := located(s.dns, "sick")
			if err != nil || len(at) != c.want {
				t.Errorf("SRV = %q, %v, want %d", at, err, c.want)
			}
		})
	}
}
