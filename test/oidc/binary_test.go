package oidc_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

// TestProgramHoldsNoKey looks for what opens other installations in the program as it is
// built, where no test is.
func TestProgramHoldsNoKey(t *testing.T) {
	program, err := os.ReadFile(binary.Muster())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"SecretKey0123", "U2VjcmV0S2V5MDEy", "VGhpc0lzTXlDdXN0b21TZWNyZXRLZXk", "ThisIsMyCustomSecretKey", "serverIdentity", "nacos.core.auth", "$2a$10$", "$2b$10$",
		"-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN EC PRIVATE KEY-----\n", "mst_",
	} {
		if at := bytes.Index(program, []byte(text)); at >= 0 && text != "mst_" {
			t.Errorf("the program holds %q: %q", text, program[at:at+min(80, len(program)-at)])
		} else if text == "mst_" && at < 0 {
			t.Error("the program is not what was looked for: it lacks the beginning of its tokens")
		}
	}
}
