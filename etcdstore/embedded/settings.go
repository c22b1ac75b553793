package embedded

import (
	"fmt"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"
)

// maxTxnOps lets one transaction publish many documents; etcd's own 128 lets
// about thirty.
const maxTxnOps = 4096

// A member holds the transactions since its last snapshot in memory and reads them
// again when it starts, up to 1 MiB each: one without followers need not wait for
// 10,000 of them, nor keep any for those who are behind.
const (
	loneSnapshot = 1000
	loneCatchUp  = 100
)

// settings returns the settings as etcd has them.
func (e *Etcd) settings() (*embed.Config, error) {
	cfg := e.cfg
	ec := embed.NewConfig()
	ec.Dir = cfg.Dir
	ec.ListenPeerUrls, ec.ListenClientUrls = nil, nil
	// Nobody dials this address; etcd wants to hear one.
	none := url.URL{Scheme: "http", Host: "localhost:0"}
	ec.AdvertisePeerUrls, ec.AdvertiseClientUrls = []url.URL{none}, []url.URL{none}
	if cfg.ClientURL != "" {
		u, err := url.Parse(cfg.ClientURL)
		if err != nil {
			return nil, fmt.Errorf("client_url: %w", err)
		}
		ec.ListenClientUrls, ec.AdvertiseClientUrls = []url.URL{*u}, []url.URL{*u}
	}
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(newBridge(e.trace)))
	ec.EnableGRPCGateway = false
	ec.AutoCompactionMode, ec.AutoCompactionRetention = "periodic", compactAfter
	ec.QuotaBackendBytes = cfg.QuotaBytes
	if ec.QuotaBackendBytes == 0 {
		ec.QuotaBackendBytes = quotaBytes
	}
	ec.MaxTxnOps = maxTxnOps
	if ec.UnsafeNoFsync = cfg.NoSync; cfg.NoSync {
		ec.BcryptCost = uint(bcrypt.MinCost) // of users, whom tests alone make
	}
	if cfg.Cluster != nil {
		return ec, cfg.Cluster.apply(ec)
	}
	ec.Name = "muster"
	ec.InitialCluster = ec.InitialClusterFromName(ec.Name)
	ec.SnapshotCount, ec.SnapshotCatchUpEntries = loneSnapshot, loneCatchUp
	// A single member elects itself: it need not wait for others to speak up.
	ec.TickMs, ec.ElectionMs = 10, 100
	return ec, nil
}

// apply puts the cluster's settings into ec. Ticks stay etcd's own: over a
// network shorter ones would depose leaders for a slow packet.
func (c *Cluster) apply(ec *embed.Config) error {
	listen, err := c.listenAddress()
	if err != nil {
		return err
	}
	initial, err := c.initial()
	if err != nil {
		return err
	}
	ec.Name = c.Name
	ec.ListenPeerUrls = []url.URL{peerURL(listen)}
	ec.AdvertisePeerUrls = []url.URL{peerURL(initial[c.Name])}
	ec.InitialCluster = initial.etcd()
	ec.InitialClusterToken = "muster"
	if c.Join {
		ec.ClusterState = embed.ClusterStateFlagExisting
	}
	ec.PeerTLSInfo.CertFile, ec.PeerTLSInfo.KeyFile, ec.PeerTLSInfo.TrustedCAFile = c.CertFile, c.KeyFile, c.CAFile
	ec.PeerTLSInfo.ClientCertAuth, ec.PeerTLSInfo.CRLFile = true, c.CRLFile
	// A peer's address need not be in its certificate: behind a translating
	// router or a bridge it never is. What lets a peer in is the authority.
	ec.PeerTLSInfo.SkipClientSANVerify = true
	return nil
}

func peerURL(address string) url.URL { return url.URL{Scheme: "https", Host: address} }
