package targets

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/musterhq/muster/internal/peer"
)

// write writes a file of the test and returns its path.
func write(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

const mysqlUsers = `create or replace user probe@'%' identified by 'hunter2';
grant all on *.* to probe@'%' with grant option;
create or replace user modern@'%' identified via ed25519 using password('hunter2');
`

// MySQL starts a MariaDB with the users probe and modern, who log in in two ways
// with the password hunter2.
func MySQL(tb testing.TB) Server {
	tb.Helper()
	me, err := user.Current()
	if err != nil {
		tb.Fatal(err)
	}
	dir, address := tb.TempDir(), FreeAddress(tb)
	// One that starts removes what others have in its folder of temporary tables.
	own := []string{"--no-defaults", "--user=" + me.Username, "--datadir=" + filepath.Join(dir, "data"), "--tmpdir=" + dir, "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"}
	install := exec.CommandContext(tb.Context(), peer.Path(tb, "mariadb-install-db"), append(own, "--skip-test-db", "--auth-root-authentication-method=normal")...)
	if out, err := install.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %v\n%s", install, err, bytes.TrimSpace(out))
	}
	return Start(tb, address, "mariadbd", append(own,
		"--skip-networking=0", "--bind-address=127.0.0.1", "--port="+portOf(address), "--socket="+filepath.Join(dir, "s"), "--pid-file="+filepath.Join(dir, "pid"),
		"--plugin-load-add=auth_ed25519", "--init-file="+write(tb, "users.sql", mysqlUsers))...)
}

// Redis starts a Redis with the password hunter2, a user probe with hunter3, and a
// user mute with hunter4, who may do nothing.
func Redis(tb testing.TB) Server {
	tb.Helper()
	address := FreeAddress(tb)
	return Start(tb, address, "redis-server", write(tb, "redis.conf", fmt.Sprintf(`
bind 127.0.0.1
port %s
dir %s
save ""
requirepass hunter2
user probe on >hunter3 +ping
user mute on >hunter4 -@all
`, portOf(address), tb.TempDir())))
}

// Nginx starts an nginx with a page for each way to answer. /moved leads to
// elsewhere, /ok when that is empty; /asks answers 204 to who says "Probe: yes" and
// 400 to all others; /secret wants the user probe with the password hunter2.
func Nginx(tb testing.TB, elsewhere string) Server {
	tb.Helper()
	if elsewhere == "" {
		elsewhere = "/ok"
	}
	address, dir := FreeAddress(tb), tb.TempDir()
	return Start(tb, address, "nginx", "-p", dir, "-e", "stderr", "-c", write(tb, "nginx.conf", fmt.Sprintf(`
daemon off;
master_process off;
pid %[2]s/pid;
events {}
http {
	access_log off;
	client_body_temp_path %[2]s/a; proxy_temp_path %[2]s/b; fastcgi_temp_path %[2]s/c; uwsgi_temp_path %[2]s/d; scgi_temp_path %[2]s/e;
	server {
		listen %[1]s;
		location = /ok { return 200 "ok"; }
		location = /busy { return 503; }
		location = /moved { return 301 %[4]s; }
		location = /asks { if ($http_probe = "yes") { return 204; } return 400; }
		location = /closes { return 444; }
		location = /secret { auth_basic "secret"; auth_basic_user_file %[3]s; root %[2]s; try_files /pid =404; }
	}
}
`, address, dir, write(tb, "users", "probe:{PLAIN}hunter2\n"), elsewhere)))
}
