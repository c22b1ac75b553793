// Package probes_test tries each kind of check at the server it is made for, as
// distributions ship it.
package probes_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/probe"
	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
)

// instance is a server under test.
type instance struct {
	*binary.Process

	address string
}

// freeAddress returns one where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts a server that is to listen at address.
func start(t *testing.T, address, program string, args ...string) instance {
	t.Helper()
	return instance{binary.Start(t, peer.Path(t, program), args...), address}
}

// await waits until the server listens.
func (i instance) await(t *testing.T) {
	t.Helper()
	i.AwaitFor(time.Minute, "a listener", func() bool { return try(t.Context(), probe.Check{TCP: i.address}) == nil })
}

const mysqlUsers = `create user probe@'%' identified by 'hunter2';
grant all on *.* to probe@'%' with grant option;
create user modern@'%' identified via ed25519 using password('hunter2');
`

func startMySQL(t *testing.T) instance {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	data := filepath.Join(dir, "data")
	own := []string{"--no-defaults", "--user=" + me.Username, "--datadir=" + data, "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"}
	install := exec.CommandContext(t.Context(), peer.Path(t, "mariadb-install-db"), append(own, "--skip-test-db", "--auth-root-authentication-method=normal")...)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", install, err, bytes.TrimSpace(out))
	}
	return start(t, address, "mariadbd", append(own,
		"--skip-networking=0", "--bind-address=127.0.0.1", "--port="+port, "--socket="+filepath.Join(dir, "s"), "--pid-file="+filepath.Join(dir, "pid"),
		"--plugin-load-add=auth_ed25519", "--init-file="+lab.Write(t, "users.sql", mysqlUsers))...)
}

func startRedis(t *testing.T) instance {
	t.Helper()
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	return start(t, address, "redis-server", lab.Write(t, "redis.conf", fmt.Sprintf(`
bind 127.0.0.1
port %s
dir %s
save ""
requirepass hunter2
user probe on >hunter3 +ping
user mute on >hunter4 -@all
`, port, t.TempDir())))
}

func startNginx(t *testing.T) instance {
	t.Helper()
	address, dir := freeAddress(t), t.TempDir()
	return start(t, address, "nginx", "-p", dir, "-e", "stderr", "-c", lab.Write(t, "nginx.conf", fmt.Sprintf(`
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
		location = /moved { return 301 /ok; }
		location = /closes { return 444; }
		location = /secret { auth_basic "secret"; auth_basic_user_file %[3]s; root %[2]s; try_files /pid =404; }
	}
}
`, address, dir, lab.Write(t, "users", "probe:{PLAIN}hunter2\n"))))
}

func try(ctx context.Context, c probe.Check) error {
	p, err := c.Prober()
	if err != nil {
		return err
	}
	return probe.Try(ctx, p, time.Duration(c.Timeout)+10*time.Second)
}
