package generation_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/musterhq/muster/internal/generation"
)

// A generation has the labels of the one before it, file by file. The name of the
// attribute is that of SELinux where this user may set it.
func TestLabelIsHandedOn(t *testing.T) {
	parent := t.TempDir()
	link := filepath.Join(parent, "current")
	p := generation.At(link)
	if err := p.Switch(stage(t, p, "one")); err != nil {
		t.Fatal(err)
	}
	const name = "security.selinux"
	labels := map[string]string{"app.conf": "a:b:httpd_config_t:s0\x00", "sub": "a:b:dir_t:s0\x00", "sub/dir/db.conf": "a:b:db_t:s0\x00"}
	for path, label := range labels {
		if err := unix.Setxattr(filepath.Join(link, path), name, []byte(label), 0); err != nil {
			t.Logf("not tried, no label can be set here: %v", err)
			return
		}
	}
	if err := p.Switch(stage(t, p, "two")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"app.conf", "sub", "sub/dir/db.conf", "sub/empty"} {
		buf := make([]byte, 100)
		n, err := unix.Getxattr(filepath.Join(link, path), name, buf)
		if got := string(buf[:max(n, 0)]); got != labels[path] {
			t.Errorf("label of %s = %q, %v, want %q", path, got, err, labels[path])
		}
	}
	if b, err := os.ReadFile(filepath.Join(link, "app.conf")); err != nil || string(b) != "app two" {
		t.Errorf("app.conf = %q, %v, want the second generation", b, err)
	}
}
