package dnsd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/coredns/caddy"
)

// foreign is a server that CoreDNS serves by itself: tls://, https://, https3://,
// quic:// or grpc://.
type foreign struct {
	caddy.Server
	url  string
	addr string         // host:port
	udp  net.PacketConn // nil for what comes over TCP
}

// foreignOf names the foreign server s, or reports false for a dns:// one.
func foreignOf(s caddy.Server) (*foreign, bool) {
	if _, plain := plainAddr(s); plain {
		return nil, false
	}
	url := s.(caddy.GracefulServer).Address()
	_, addr, _ := strings.Cut(url, "://")
	return &foreign{Server: s, url: url, addr: addr}, true
}

// overUDP reports whether the server speaks QUIC.
func (f *foreign) overUDP() bool {
	return strings.HasPrefix(f.url, "quic://") || strings.HasPrefix(f.url, "https3://")
}

// bindUDP opens the socket of a server that speaks QUIC, as CoreDNS does it. An
// address that is shared is served by the generation before; any other must be
// free.
func (f *foreign) bindUDP(ctx context.Context, shared bool) error {
	if !shared {
		if err := checkFree(ctx, f.addr); err != nil {
			return err
		}
	}
	var err error
	if f.udp, err = f.ListenPacket(); err != nil {
		return fmt.Errorf("listen on %s: %w", f.url, err)
	}
	return nil
}

// foreignServers are those of an instance.
func (i *instance) foreignServers() []*foreign {
	var found []*foreign
	for _, s := range i.servers {
		if f, ok := foreignOf(s); ok {
			found = append(found, f)
		}
	}
	return found
}

// closeForeignUDP closes what bindUDP opened.
func (g *generation) closeForeignUDP() error {
	var errs []error
	for _, f := range g.foreign {
		if f.udp != nil {
			errs = append(errs, f.udp.Close())
		}
	}
	return errors.Join(errs...)
}

// foreignAddrs are the URLs of the foreign servers.
func (g *generation) foreignAddrs() map[string]bool {
	urls := map[string]bool{}
	for _, f := range g.foreign {
		urls[f.url] = true
	}
	return urls
}
