package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/internal/peer"
)

func TestWant(t *testing.T) {
	for _, c := range []struct {
		line, kind, prefix, typed string // the line ends with what is to be completed
	}{
		{"", wantCommand, "", ""},
		{"ser", wantCommand, "", "ser"},
		{"service ", wantCommand, "", ""},
		{"service set", wantCommand, "", "set"},
		{"service set ", "SERVICE", "", ""},
		{"service set a", "SERVICE", "", "a"},
		{"service set a ", wantNothing, "", ""},
		{"service set a --", wantFlag, "", "--"},
		{"service set --dns-mode ", "dns-mode", "", ""},
		{"service set --dns-mode=sa", "dns-mode", "--dns-mode=", "sa"},
		{"service set --topology ", "dns-topology", "", ""},
		{"service set --selector ", "EXPRESSION", "", ""},
		{"service set --no-such-flag ", "SERVICE", "", ""},
		{"service set --no-such-flag=", wantNothing, "--no-such-flag=", ""},
		{"service set --create ", "SERVICE", "", ""},
		{"service set -- -", "SERVICE", "", "-"},
		{"service cluster set a ", "CLUSTER", "", ""},
		{"service cluster set a b --check ", "check", "", ""},
		{"service cluster set a --password-file ", "FILE", "", ""},
		{"service shwo ", wantNothing, "", ""},
		{"service watch ", "SERVICE", "", ""},
		{"service list -n ", "NAMESPACE", "", ""},
		{"service list -g ", "GROUP", "", ""},
		{"service list -o j", "output", "", "j"},
		{"instance drain -n dev a 192.0.2.1:", "ADDRESS:PORT", "", "192.0.2.1:"},
		{"instance register a ", "ADDRESS:PORT", "", ""},
		{"instance register a 192.0.2.1:80 --check ", wantNothing, "", ""},
		{"instance list a --cluster ", "CLUSTER", "", ""},
		{"namespace rm ", "NAMESPACE", "", ""},
		{"config put app.properties ", "FILE", "", ""},
		{"config diff app.properties 1 ", "SEQ", "", ""},
		{"config release promote app.properties ", "RELEASE", "", ""},
		{"config release put app.properties canary ", "FILE", "", ""},
		{"config policy set --validate ", "validate", "", ""},
		{"resolve a ", "TYPE", "", ""},
		{"agent ", wantCommand, "", ""},
		{"agent --log-level ", "log-level", "", ""},
		{"completion ", "SHELL", "", ""},
		{"no-such-command ", wantNothing, "", ""},
	} {
		w := want(newApp(), strings.Split(c.line, " "))
		if w.kind != c.kind || w.prefix != c.prefix || w.typed != c.typed {
			t.Errorf("want(%q) = %q %q %q, want %q %q %q", c.line, w.kind, w.prefix, w.typed, c.kind, c.prefix, c.typed)
		}
	}
}

func TestWantKnowsWhatWasSaid(t *testing.T) {
	w := want(newApp(), strings.Split("instance drain -n dev --server a --server=b order-api --group g --deregister ", " "))
	if diff := cmp.Diff(map[string][]string{"namespace": {"dev"}, "server": {"a", "b"}, "group": {"g"}, "deregister": {""}}, w.flags); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"order-api"}, w.names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// What somebody else named never becomes a flag, or more than a word.
func TestWantTakesNames(t *testing.T) {
	for _, c := range []struct {
		line, value string
		want        bool
	}{
		{"service show o", "order-api", true},
		{"service show o", "db", false},
		{"service show ", "--server=http://192.0.2.66", false},
		{"service show -- ", "--server=http://192.0.2.66", true},
		{"service show --group=", "-g", true},
		{"service show --gr", "--group", true},
		{"service show ", "a\x1b[2J", false},
	} {
		if got := want(newApp(), strings.Split(c.line, " ")).takes(candidate{value: c.value}); got != c.want {
			t.Errorf("want(%q).takes(%q) = %v, want %v", c.line, c.value, got, c.want)
		}
	}
}

func TestGlued(t *testing.T) {
	for line, want := range map[string]string{
		"drain|a|192.0.2.1|:|80":         "drain|a|192.0.2.1:80",
		"drain|a|192.0.2.1|:":            "drain|a|192.0.2.1:",
		"drain|a|[2001|:|db8|::|1]|:|80": "drain|a|[2001:db8::1]:80",
		"list|--output|=|json":           "list|--output=json",
		"list|--output|=":                "list|--output=",
		"list|--server|http|:|//h|:|1|":  "list|--server|http://h:1|",
		"list|:|":                        "list:|",
		"list|":                          "list|",
	} {
		if got := strings.Join(glued(strings.Split(line, "|")), "|"); got != want {
			t.Errorf("glued(%s) = %s, want %s", line, got, want)
		}
	}
}

// FuzzComplete completes any words, and what bash is given is one word of it.
func FuzzComplete(f *testing.F) {
	for _, seed := range []string{"", "service|set|--dns-mode|=|s", "instance|drain|a|192.0.2.1|:", "service|--|-|", "agent|=|:", "service|show|a;b$(c)`d`'\"\\"} {
		f.Add(seed)
	}
	app := newApp()
	f.Fuzz(func(t *testing.T, line string) {
		words := glued(strings.Split(line, "|"))
		want(app, words)
		if cut := cutAt(":=", words); !strings.HasPrefix(words[len(words)-1], cut) {
			t.Errorf("cutAt(%q) = %q, want a begin of the last word", words, cut)
		}
		escaped := false
		for _, r := range quoted(line) {
			if !escaped && strings.ContainsRune(" ;&|$`'\"<>(){}[]*?!#~", r) {
				t.Errorf("quoted(%q) = %q, want nothing that bash acts on", line, quoted(line))
			}
			escaped = r == '\\' && !escaped
		}
	})
}

// TestCompletionInShells completes in real shells, with names that a real server
// holds.
func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	for _, args := range [][]string{
		{"instance", "register", "order-api", "192.0.2.1:8080", "--cluster", "bj"},
		{"instance", "register", "order-db", "192.0.2.1:8081"},
		{"service", "set", "odd;$HOME(x)"},
		{"service", "set", "billing", "-n", "dev", "-g", "own"},
	} {
		if code, out := command(t, append(args, "--server", s.url())...); code != exitDone {
			t.Fatalf("%v = %d %s", args, code, out)
		}
	}
	cases := []struct{ line, want string }{
		{"service sh", "show"},
		{"namespace ", "create list rm set show"},
		{"service set --dns-t", "--dns-topology --dns-ttl"},
		{"service list -o ", "json table yaml"},
		{"service show order-", "order-api order-db"},
		{"service show od", "odd;$HOME(x)"},
		{"service show -n dev -g own ", "billing"},
		{"service show -n dev ", ""},
		{"service list -n ", "dev public"},
		{"instance list order-api --cluster ", "bj"},
		{"instance drain order-api ", "192.0.2.1:8080"},
		{"instance drain order-api 192.0.2.1:8", "192.0.2.1:8080"},
		{"service show --server 127.0.0.1:1 ", ""},
		{"__comp", ""},
	}
	shells := map[string]struct {
		args   []string
		script string // prints what a line, its argument, is completed to
	}{
		"bash": {[]string{"--norc", "-c"}, `source <(muster completion bash)
			line=${1//:/ : }; line=${line//=/ = }
			read -ra COMP_WORDS <<< "muster $line"
			[[ $1 == *" " || -z $1 ]] && COMP_WORDS+=("")
			COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
			_muster
			for one in "${COMPREPLY[@]}"; do eval "printf '%s\n' $one"; done`},
		"zsh": {[]string{"-f", "-c"}, `compdef() { : }
			source <(muster completion zsh)
			compadd() { print -rl -- $values }
			words=(muster "${(@s: :)1}"); CURRENT=$#words
			_muster || true`},
		"fish": {[]string{"--no-config", "-c"}, `muster completion fish | source
			complete -C "muster $argv[1]" | string replace -r '\t.*' ''; true`},
	}
	for name, shell := range shells {
		t.Run(name, func(t *testing.T) {
			program := peer.Path(t, name)
			if out, err := exec.CommandContext(t.Context(), program, "-n", filepath.Join("completion", "muster."+name)).CombinedOutput(); err != nil {
				t.Fatalf("%s -n = %v\n%s", name, err, out)
			}
			for _, c := range cases {
				args := append(shell.args, shell.script)
				if name != "fish" {
					args = append(args, name)
				}
				cmd := exec.CommandContext(t.Context(), program, append(args, c.line)...)
				cmd.Env = append(cmd.Environ(), "MUSTER_SERVER="+s.url(), "MUSTER_NAMESPACE=", "PATH="+usersPath(os.Getenv("PATH")))
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("complete %q = %v\n%s", c.line, err, out)
				}
				want := c.want
				if name == "bash" && strings.HasSuffix(c.line, ":8") {
					want = strings.TrimPrefix(want, "192.0.2.1:")
				}
				if got := strings.Join(strings.Fields(string(out)), " "); got != want {
					t.Errorf("complete %q = %q, want %q", c.line, got, want)
				}
			}
		})
	}
}
