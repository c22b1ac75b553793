package agent_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestOperatorCalls(t *testing.T) {
	h := newHost(t)
	h.define("a.yaml", "services: [{name: filed, port: 80}]")
	a := h.start()
	h.holds("filed:80=passing")
	for _, c := range []struct {
		name, method, path, body string
		want                     int
		detail                   string
	}{
		{"register", "PUT", "/v1/services/beaten", `{"port": 90, "checks": [{"ttl": "1h", "name": "work"}]}`, 201, `"port":90`},
		{"a command", "PUT", "/v1/services/b", `{"port": 91, "checks": [{"exec": ["reboot"]}]}`, 400, "body.checks[0].exec"},
		{"a command among others", "PUT", "/v1/services/b", `{"port": 91, "checks": [{"tcp": "127.0.0.1:1"}, {"exec": ["/bin/true"]}]}`, 400, "body.checks[1].exec"},
		{"a unit", "PUT", "/v1/services/b", `{"port": 91, "checks": [{"systemd": "sshd.service"}]}`, 400, "body.checks[0].systemd"},
		{"a process", "PUT", "/v1/services/b", `{"port": 91, "checks": [{"process": "sshd"}]}`, 400, "body.checks[0].process"},
		{"a pid file", "PUT", "/v1/services/b", `{"port": 91, "checks": [{"pid_file": "/etc/shadow"}]}`, 400, "body.checks[0].pid_file"},
		{"a file of keys", "PUT", "/v1/services/b", `{"port": 91, "checks": [{"http": "https://127.0.0.1:1/", "tls_ca_file": "/etc/shadow"}]}`, 400, "body.checks[0].tls_ca_file"},

		{"pass", "PUT", "/v1/services/beaten/checks/work/pass", `{"note": "all is well"}`, 204, ""},
		{"the note", "GET", "/v1/services/beaten", "", 200, `"note":"all is well"`},
		{"health", "GET", "/v1/services/beaten/health", "", 200, `"passing"`},
		{"fail", "PUT", "/v1/services/beaten/checks/ttl/fail?note=disk+full", "", 204, ""},
		{"health after", "GET", "/v1/services/beaten/health", "", 503, "disk full"},
		{"no such check", "PUT", "/v1/services/beaten/checks/other/pass", "", 404, "other"},
		{"no ttl check", "PUT", "/v1/services/filed/checks/ttl/pass", "", 404, "check"},
		{"no such service", "PUT", "/v1/services/none/checks/ttl/pass", "", 404, "none"},
		{"a long note", "PUT", "/v1/services/beaten/checks/work/pass", `{"note": "` + strings.Repeat("x", 5000) + `"}`, 400, "4096"},
		{"a note that is none", "PUT", "/v1/services/beaten/checks/work/pass", `{"note": 1}`, 400, "note"},

		{"maintenance", "PUT", "/v1/services/filed/maintenance", `{"enabled": true, "reason": "disk swap"}`, 200, "public/DEFAULT_GROUP/filed/127.0.0.1:80"},
		{"in the list", "GET", "/v1/services/filed", "", 200, "disk swap"},
		{"maintenance is over", "DELETE", "/v1/services/filed/maintenance", "", 200, `"enabled":false`},
		{"by an empty body", "PUT", "/v1/services/filed/maintenance", "", 200, `"enabled":true`},
		{"by the body", "PUT", "/v1/services/filed/maintenance", `{"enabled": false}`, 200, `"enabled":false`},
		{"of nothing", "PUT", "/v1/services/none/maintenance", "", 404, "none"},
		{"of another group", "PUT", "/v1/services/filed/maintenance?group=H", "", 404, "filed"},
		{"of a wrong type", "PUT", "/v1/services/filed/maintenance", `{"enabled": "yes"}`, 400, "body.enabled"},
		{"of an unknown key", "PUT", "/v1/services/filed/maintenance", `{"enable": true}`, 400, "enable"},
		{"for a long reason", "PUT", "/v1/services/filed/maintenance", `{"reason": "` + strings.Repeat("x", 1025) + `"}`, 400, "body.reason"},

		{"reload", "POST", "/v1/reload", "", 200, `"unchanged":2`},
		{"drain", "POST", "/v1/drain", `{"waitMs": 0}`, 202, `"instances":2`},
		{"how far it is", "GET", "/v1/drain", "", 200, `"state":"dra`},
		{"skip", "POST", "/v1/drain", `{"skip": true}`, 202, `"state":"dra`},
		{"undrain", "DELETE", "/v1/drain", "", 200, `"state":"none"`},
		{"a negative wait", "POST", "/v1/drain", `{"waitMs": -1}`, 400, "body.waitMs"},
		{"a long wait", "POST", "/v1/leave", `{"waitMs": 999999999999}`, 400, "body.waitMs"},
		{"a body that is a form", "POST", "/v1/leave", `waitMs=1`, 400, "JSON"},
	} {
		status, _, body := a.call(c.method, c.path, c.body)
		if status != c.want || !strings.Contains(body, c.detail) {
			t.Errorf("%s: %s %s = %d %s, want %d with %q", c.name, c.method, c.path, status, body, c.want, c.detail)
		}
	}
	h.define("a.yaml", "services: [{name: filed, port: 80}, {name: more, port: 81}]")
	h.define("b.yaml", "services: [{name: x, prot: 1}]")
	_, _, body := a.call("POST", "/v1/reload", "")
	for _, want := range []string{`"change":"changed"`, `more/127.0.0.1:81`, `"change":"wrong"`, `b.yaml:1`, `"unchanged":2`} {
		// The directory is watched too: what was read before is not new any more.
		if !strings.Contains(body, want) && !strings.Contains(body, `"unchanged":3`) {
			t.Errorf("reload = %s, want %s in it", body, want)
		}
	}
	if os.Geteuid() == 0 {
		for _, call := range []string{"POST /v1/reload", "POST /v1/drain", "DELETE /v1/drain", "POST /v1/leave", "PUT /v1/services/filed/maintenance"} {
			method, path, _ := strings.Cut(call, " ")
			if status, body := a.overSocket(1001, method, path, ""); status != http.StatusForbidden {
				t.Errorf("%s by another user = %d %s, want 403", call, status, body)
			}
		}
		if status, body := a.overSocket(1001, "PUT", "/v1/services/own", `{"port": 99}`); status != 201 {
			t.Errorf("PUT = %d %s", status, body)
		}
		if status, body := a.overSocket(1001, "PUT", "/v1/services/own/maintenance", `{"reason": "mine"}`); status != 200 {
			t.Errorf("maintenance of one's own = %d %s, want 200", status, body)
		}
		if status, body := a.overSocket(1002, "DELETE", "/v1/services/own/maintenance", ""); status != 403 {
			t.Errorf("maintenance of another's = %d %s, want 403", status, body)
		}
	}
	if status, body := a.overSocket(-1, "POST", "/v1/leave", `{"waitMs": 0}`); status != http.StatusAccepted || !strings.Contains(body, "leaving") {
		t.Errorf("leave = %d %s, want 202", status, body)
	}
	eventually(t, func() string {
		if n := len(h.server.seen("delete")); n != 1 {
			return fmt.Sprintf("%d deregistrations, want one", n)
		}
		return ""
	})
	a.stop()
}
