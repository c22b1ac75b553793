package main

import (
	"net/http"
	"strings"
	"testing"
)

// What is wrong with a command line ends with the same code everywhere, names what it is
// about as it is written, and is sent nowhere: the server here would answer anything else.
func TestWrongCommandLines(t *testing.T) {
	t.Setenv("MUSTER_SERVER", answering(t, http.StatusInternalServerError, `{}`))
	dir := t.TempDir()
	for line, want := range map[string]string{
		"member add d 127.0.0.1":                          `"127.0.0.1" is not HOST:PORT`,
		"member add d=e 127.0.0.1:2380":                   `"d=e" is no name`,
		"auth can-i w nonsense":                           `kind: "nonsense" is not one of naming, config, dns, admin`,
		"auth can-i w naming dev*":                        `"dev*" is not a whole name`,
		"auth role set r --allow x_naming_a/b":            `rule "x naming a/b": verbs: "x" is none of r, w and rw`,
		"auth role set r --allow r_files_a/b":             `rule "r files a/b": kind: "files"`,
		"auth role set r --deny r_naming_a/b/c":           `rule "r naming a/b/c" is not of the form VERBS KIND NAMESPACE/GROUP: a group has no slash`,
		"auth role set r --allow r_naming_a*b":            `rule "r naming a*b": namespace: "a*b" has a * that is not at its end`,
		"auth login --redirect-port 5":                    `redirect-port: is of no use without --oidc`,
		"auth login --no-browser":                         `no-browser: is of no use without --oidc`,
		"auth login --oidc --redirect-port 99999":         `redirect-port: 99999 is not 1 to 65535`,
		"config put a --type nonsense":                    `type: "nonsense" is not one of properties, `,
		"auth token add web-1 --life 30d":                 `--life: "30d" is not a duration such as 90s, 15m or 720h`,
		"audit list --limit many":                         `--limit: "many" is not a whole number`,
		"audit list --limti 5":                            `no flag --limti, did you mean --limit`,
		"audit list --limit":                              `--limit: its value is missing`,
		"instance register a 192.0.2.1:80 --weight heavy": `--weight: "heavy" is not a number`,
		"instance register a 192.0.2.1:80 --metadata x":   `--metadata: "x": `,
		"instance register a 192.0.2.1:80 --beat=maybe":   `--beat: "maybe" is not true or false`,
	} {
		args := strings.Fields(line)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "_", " ")
		}
		out, code := said(t, args...)
		if code != exitUsage || !strings.HasPrefix(out, want) {
			t.Errorf("muster %s = %d %q, want %d and %q", line, code, out, exitUsage, want)
		}
	}
	for line, want := range map[string]string{
		"server --http 192.0.2.11":                   `http: "192.0.2.11" is not of the form address:port`,
		"server --auth maybe":                        `auth: "maybe" is not one of auto, on, off`,
		"server --zone *":                            `zone: "*" is not a domain name`,
		"server --etcd nonsense":                     `etcd: urls: "nonsense" is neither an http or https URL nor HOST:PORT`,
		"server --audit-keep-days 0":                 `audit-keep-days: 0 is not 1 or more`,
		"server --check-in-flight 0":                 `check-in-flight: 0 is not 1 or more`,
		"server --config-track-days 0":               `config-track-days: 0 is not 1 or more`,
		"server --labels-timeout 0s --labels-file x": `labels-timeout: 0 is not more than nothing`,
		"server --print-corefile --ns a":             `ns: "a" is not of the form NAME=ADDRESS`,
		"server --audit-keep-days many":              `--audit-keep-days: "many" is not a whole number`,
		"restore some.backup --quota much":           `quota: "much" is not a size between`,
		"agent --http 192.0.2.11":                    `http address "192.0.2.11" is not host:port`,
		"agent --id a/b":                             `id "a/b" is not 1 to 64 letters`,
		"dev --zone a{b":                             `zone: "a{b" is not a domain name`,
	} {
		args := strings.Fields(line)
		if args[0] != "dev" {
			args = append(args, "--data-dir", dir)
		}
		if out, code := said(t, args...); code != exitUsage || !strings.HasPrefix(out, want) {
			t.Errorf("muster %s = %d %q, want %d and %q", line, code, out, exitUsage, want)
		}
	}
}

// A wrong variable of the environment is told by its own name.
func TestWrongVariables(t *testing.T) {
	t.Setenv("MUSTER_AUDIT_KEEP_DAYS", "many")
	out, code := said(t, "server", "--data-dir", t.TempDir())
	if want := `MUSTER_AUDIT_KEEP_DAYS: "many" is not a whole number`; code != exitUsage || !strings.HasPrefix(out, want) {
		t.Errorf("muster server = %d %q, want %d and %q", code, out, exitUsage, want)
	}
}

// A settings file that is wrong is no wrong command line, and neither is what a file lacks
// that it names: service managers start again what ends so.
func TestWrongSettingsFilesAreNotTheCommandLine(t *testing.T) {
	for content, want := range map[string]string{
		"http: 192.0.2.11": `: http: "192.0.2.11" is not of the form address:port`,
		"data_dir: [a]":    `:1: data_dir: want a text, not a list`,
	} {
		path := fileWith(t, content)
		if out, code := said(t, "server", "--config", path); code != exitFailed || !strings.HasPrefix(out, path+want) {
			t.Errorf("muster server with %q = %d %q, want %d and %q", content, code, out, exitFailed, want)
		}
	}
	path := fileWith(t, "dns: 127.0.0.1:0")
	if out, code := said(t, "server", "--config", path, "--http", "x"); code != exitUsage || !strings.HasPrefix(out, `http: "x"`) {
		t.Errorf("muster server --http x with a good file = %d %q, want %d", code, out, exitUsage)
	}
	out, code := said(t, "server", "--peer", "127.0.0.1:2380", "--name", "a", "--initial-cluster", "a=127.0.0.1:2380",
		"--peer-cert", "nofile", "--peer-key", "nofile", "--peer-ca", "nofile", "--data-dir", t.TempDir())
	if code != exitFailed || !strings.Contains(out, "nofile") {
		t.Errorf("muster server without the file of its peers' authority = %d %q, want %d and its name", code, out, exitFailed)
	}
}
