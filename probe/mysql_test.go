package probe_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what the protocol has
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/probe"
)

// readPacket reads one of a MySQL client.
func readPacket(c net.Conn) []byte {
	header := make([]byte, 4)
	_, _ = io.ReadFull(c, header)
	b := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	_, _ = io.ReadFull(c, b)
	return b
}

// modern logs a client in as MySQL 8 does over a plain connection: the password
// comes encrypted with the server's key. Then it takes one command.
func modern(t *testing.T, password string) func(net.Conn) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	const seed = "12345678123456789012"
	return func(c net.Conn) {
		text := strings.Replace(greeting[4:], "mysql_native_password", "caching_sha2_password", 1)
		_, _ = io.WriteString(c, packet(0, text))
		readPacket(c)
		_, _ = io.WriteString(c, packet(2, "\x01\x04"))
		readPacket(c) // asks for the key
		_, _ = io.WriteString(c, packet(4, "\x01"+public))
		got, err := rsa.DecryptOAEP(sha1.New(), nil, key, readPacket(c), nil) //nolint:gosec // alike
		for i := range got {
			got[i] ^= seed[i%len(seed)]
		}
		if err != nil || string(got) != password+"\x00" {
			_, _ = io.WriteString(c, packet(6, "\xff\x15\x04#28000Access denied"))
			return
		}
		_, _ = io.WriteString(c, packet(6, loginOK[4:]))
		if got := string(readPacket(c)); got != "\x03"+probe.DefaultCommand {
			_, _ = io.WriteString(c, packet(1, "\xff\x28\x04#42000"+got))
			return
		}
		_, _ = io.WriteString(c, packet(1, loginOK[4:]))
	}
}

func TestMySQLThatEncryptsPasswords(t *testing.T) {
	s := serve(t, modern(t, "hunter2"))
	if err := within(t, probe.Check{MySQL: s.address, User: "u", Password: "hunter2"}, 10*time.Second); err != nil {
		t.Errorf("Probe = %v, want nil", err)
	}
	if err := within(t, probe.Check{MySQL: s.address, User: "u", Password: "hunter3"}, 10*time.Second); reason(err) != probe.WrongPassword {
		t.Errorf("Probe = %v, want %s", err, probe.WrongPassword)
	}
}
