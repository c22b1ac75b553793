package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/musterhq/muster/agent/announce"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/local"
	"github.com/musterhq/muster/agent/state"
	"github.com/musterhq/muster/internal/atomicfile"
	"github.com/musterhq/muster/internal/dirlock"
	"github.com/musterhq/muster/internal/resident"
)

// Names of the files in the data directory.
const (
	idName        = "id"
	appsName      = "apps.json"
	nacosName     = "nacos.json"
	drainName     = "drain.json"
	addressesName = "addresses.json"
)

// clean removes what a crash left half-written in dir.
func clean(dir string) error {
	for _, name := range []string{idName, appsName, nacosName, drainName, addressesName, announce.StateName} {
		if _, err := atomicfile.Clean(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

var notInID = regexp.MustCompile(`[^0-9A-Za-z-]+`)

// identity returns the agent's id: that of the settings, else the one kept in the
// data directory, else a new one, which is then kept there. That it cannot be, on a
// full disk, must not keep the host's services off the roll.
func (a *Agent) identity() string {
	path := filepath.Join(a.cfg.DataDir, idName)
	id, err := keptIdentity(a.cfg.DataDir, a.cfg.ID)
	if err == nil && id != "" {
		return id
	}
	if err != nil {
		// The state of the last run holds the id once more.
		a.cfg.Logger.Error("the agent's id cannot be used, the file is put aside", "file", path+state.Aside, "err", err)
		if err := os.Rename(path, path+state.Aside); err != nil {
			a.cfg.Logger.Error("the file of the id cannot be put aside", "err", err)
		}
		id = announce.KeptAgent(filepath.Join(a.cfg.DataDir, announce.StateName))
	}
	if !idPattern.MatchString(id) {
		name, _, _ := strings.Cut(hostname(), ".")
		name = strings.Trim(notInID.ReplaceAllString(name, "-"), "-")
		id = strings.TrimPrefix(name[:min(len(name), 40)]+"-"+strings.ToLower(rand.Text()[:10]), "-")
	}
	if err := atomicfile.Write(path, []byte(id+"\n"), atomicfile.Private); err != nil {
		a.cfg.Logger.Error("the agent's id is not kept, the next run will have another", "agent", id, "err", err)
	}
	return id
}

// keptIdentity returns want if it is set, else the id kept in dir, empty when
// there is none.
func keptIdentity(dir, want string) (string, error) {
	if want != "" {
		return want, nil
	}
	path := filepath.Join(dir, idName)
	b, err := atomicfile.Read(path, maxID)
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(b))
	if _, err := os.Lstat(path); b == nil && errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if !idPattern.MatchString(id) {
		return "", fmt.Errorf("%s holds no agent id", path)
	}
	return id, nil
}

// maxID bounds what is read of the file of the id.
const maxID = 1 << 10

// hostname returns the host's name, empty when it has none.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "" // it is shown to people only
	}
	return name
}

// addressesPath is where the addresses in use are written.
func addressesPath(dir string) string { return filepath.Join(dir, addressesName) }

// listen opens where the local API listens, says so, and writes it down.
func (a *Agent) listen(ctx context.Context) ([]net.Listener, error) {
	l, err := local.Listen(ctx, a.cfg.HTTP)
	if err != nil {
		return nil, err
	}
	all := []net.Listener{a.overTLS(l)}
	socket, err := a.listenSocket(ctx)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	addresses := map[string]string{"http": l.Addr().String()}
	if d := a.localDNS(); d != nil {
		addresses["dns"] = d.Address()
	}
	if socket != nil {
		all = append(all, socket)
		addresses["socket"] = socket.Addr().String()
	}
	if err := writeAddresses(a.cfg.DataDir, addresses); err != nil {
		a.cfg.Logger.Error("where the agent listens is not written down", "file", addressesPath(a.cfg.DataDir), "err", err)
	}
	a.mu.Lock()
	a.http, a.socket = addresses["http"], addresses["socket"]
	a.mu.Unlock()
	a.cfg.Logger.Info("local API listens", "http", addresses["http"], "tls", a.certs != nil, "socket", addresses["socket"])
	return all, nil
}

// listenSocket opens the unix socket, nil where there is to be none.
func (a *Agent) listenSocket(ctx context.Context) (net.Listener, error) {
	if a.cfg.Socket == NoSocket {
		return nil, nil
	}
	path, err := filepath.Abs(cmp.Or(a.cfg.Socket, filepath.Join(a.cfg.DataDir, SocketName)))
	if err != nil {
		return nil, err
	}
	s := local.Socket{Path: path}
	if s.Mode, err = a.cfg.SocketMode.Bits(local.DefaultSocketMode); err != nil {
		return nil, fmt.Errorf("socket_mode: %w", err)
	}
	if s.UID, s.GID, err = configfile.Owner(a.cfg.SocketOwner); err != nil {
		return nil, fmt.Errorf("socket_owner: %w", err)
	}
	l, err := local.ListenSocket(ctx, s)
	if long, ok := errors.AsType[*local.LongPathError](err); ok && a.cfg.Socket == "" {
		// Nobody asked for it there.
		a.cfg.Logger.Warn("local API has no socket, the path in the data directory is too long for one", "err", long)
		return nil, nil
	}
	return l, err
}

// writeAddresses tells others on the host where the agent listens.
func writeAddresses(dir string, addresses map[string]string) error {
	// A reader must not take an earlier run's address for this one's.
	if err := os.Remove(addressesPath(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	return atomicfile.Write(addressesPath(dir), append(b, '\n'), atomicfile.Perm{Mode: 0o644, UID: -1, GID: -1})
}

// shed gives back what the start had read of the program: most of it belongs to other
// commands than this.
func (a *Agent) shed() {
	bytes, err := resident.Shed()
	a.cfg.Logger.Debug("pages of the start given back", "bytes", bytes, "err", err)
}

// takeOver takes possession of a data directory. An agent that was killed just now
// has it until the kernel is done with that.
func takeOver(dir string) (unlock func(), err error) {
	for tries := 0; ; tries++ {
		unlock, err = dirlock.Take(dir)
		if _, inUse := errors.AsType[*dirlock.InUseError](err); !inUse || tries == 20 {
			return unlock, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
