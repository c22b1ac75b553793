package server_test

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/server"
)

func TestCheckCorefile(t *testing.T) {
	const tsig = "tsig {\nsecret registrar. c2VjcmV0\nrequire_opcode UPDATE\n}\n"
	for _, c := range []struct{ about, block, want string }{
		{"as it is generated", "errors\nmuster\n", ""},
		{"updates by a key", tsig + "muster {\nupdate registrar\nlease 1 60\n}\n", ""},
		{"updates by a key without a secret", tsig + "muster {\nupdate somebody\n}\n", "key somebody. has no secret"},
		{"a directive that is none", "mustr\n", "mustr"},
	} {
		err := server.CheckCorefile([]byte("example.org {\n"+c.block+"}\n"), "Corefile")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: CheckCorefile() = %v, want %q", c.about, err, c.want)
		}
	}
}
