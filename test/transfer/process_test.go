package transfer_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
)

// root is the folder of the module.
const root = "../.."

func TestMain(m *testing.M) { os.Exit(binary.Main(m, root)) }

// muster is a running server, the only one on its addresses.
type muster struct {
	*lab.Server

	dns string
}

// startMuster starts a server with a Corefile, at port of 127.0.0.1.
func startMuster(t *testing.T, corefile string, port int) *muster {
	t.Helper()
	at := address(1, port)
	return &muster{lab.StartServer(t, binary.Muster(), corefile, "--dns", at, "--min-free", "0"), at}
}

func address(host, port int) string { return fmt.Sprintf("127.0.0.%d:%d", host, port) }

// freePort returns a port that is free at several addresses of loopback, over
// UDP and TCP: the secondaries and we have the same, as in the documents.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 0
		var open []interface{ Close() error }
		ok := true
		for host := 1; host <= 5 && ok; host++ {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address(host, port))
			if ok = err == nil; !ok {
				break
			}
			open, port = append(open, l), l.Addr().(*net.TCPAddr).Port
			u, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", address(host, port))
			if ok = err == nil; ok {
				open = append(open, u)
			}
		}
		for _, c := range open {
			_ = c.Close()
		}
		if ok {
			return port
		}
	}
	t.Fatal("no port is free at five addresses")
	return 0
}

// documented returns the example of a language in a document, with what is there
// in place of example addresses, the port and folders.
func documented(t *testing.T, document, language string, port int, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "docs", document))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n```"+language+"\n")
	if !ok {
		t.Fatalf("%s has no example in %s", document, language)
	}
	text, _, _ = strings.Cut(text, "\n```")
	text = examplePort.ReplaceAllString(text+"\n", "${1}"+strconv.Itoa(port))
	text = strings.ReplaceAll(text, "192.0.2.", "127.0.0.")
	return folder.ReplaceAllString(text, dir)
}

var (
	examplePort = regexp.MustCompile(`(192\.0\.2\.\d[@:]|\bport |(?:internal|arpa):)53\b`)
	folder      = regexp.MustCompile(`/(var/lib|var/cache|run)(/(nsd|knot|bind)\b)?`)
)
