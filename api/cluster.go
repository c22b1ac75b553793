package api

import "time"

// Paths of what concerns the servers themselves.
const (
	PathStatus  = "/v1/status"
	PathServers = "/v1/servers"
	PathConfirm = "/v1/protection/confirm"
	PathBackup  = "/v1/backup"
	PathMembers = "/v1/members"
	PathMember  = "/v1/members/{member}"
	PathHeard   = "/v1/peer/heard"
	PathRecent  = "/v1/peer/recent"
)

// HeaderAge names the response header that carries the published age of what
// was read, in seconds: how long ago at the most the server's snapshot was the
// newest there was.
const HeaderAge = "Muster-Age"

// Status is what a server says of itself.
type Status struct {
	ID         string            `json:"id" doc:"Kept in the data directory, the same over restarts"`
	Name       string            `json:"name,omitempty"`
	Version    string            `json:"version"`
	Started    time.Time         `json:"started"`
	Ready      bool              `json:"ready"`
	NotReady   string            `json:"notReady,omitempty" doc:"Why it is not ready"`
	Judge      bool              `json:"judge" doc:"Whether this server judges beats"`
	AgeMs      int64             `json:"ageMs" doc:"How long ago at the most the snapshot was the newest there was, in milliseconds"`
	Stale      bool              `json:"stale" doc:"etcd does not answer: reads go on from the snapshot, writes fail"`
	Revision   int64             `json:"revision" doc:"Registry revision of the snapshot"`
	Serial     uint32            `json:"serial" doc:"SOA serial of the zones"`
	Services   int               `json:"services"`
	Instances  int               `json:"instances"`
	Agents     int               `json:"agents"`
	Configs    int               `json:"configs"`
	Digests    map[string]string `json:"digests,omitempty" doc:"Of the registry's records at this revision, by namespace; under the empty name what belongs to none"`
	Protection *Protection       `json:"protection,omitempty" doc:"On the server that judges"`
	Storage    *Storage          `json:"storage,omitempty"`
	Audit      AuditHead         `json:"audit"`
	Etcd       string            `json:"etcd" doc:"embedded, or the endpoints"`
	HTTP       string            `json:"http"`
	GRPC       string            `json:"grpc,omitempty" doc:"Where gRPC is served to clients of Nacos; absent: nowhere"`
	Clients    int               `json:"clients" doc:"Clients of Nacos that are connected over gRPC"`
	DNS        string            `json:"dns"`
	Zones      []string          `json:"zones"`
	TLS        bool              `json:"tls" doc:"Whether HTTP is spoken over TLS"`
	Insecure   []string          `json:"insecure,omitempty" doc:"What lies open to others than the server's own host"`
}

// AuditHead is the last record of a server's audit log that was written.
type AuditHead struct {
	Seq     uint64 `json:"seq" doc:"Number of the record"`
	Hash    string `json:"hash" doc:"SHA-256 of it and, with that, of all before it, in hex"`
	Failing string `json:"failing,omitempty" doc:"Why records cannot be written and wait in memory"`
}

// Protection says whether removals are held back because many fell silent at
// once.
type Protection struct {
	Active    bool       `json:"active"`
	Slow      bool       `json:"slow,omitempty" doc:"Its time is over: what is silent is removed little by little"`
	Since     *time.Time `json:"since,omitempty"`
	Until     *time.Time `json:"until,omitempty" doc:"When removals go on slowly, unless confirmed before"`
	Witnesses int        `json:"witnesses"`
	Silent    int        `json:"silent"`
	Held      int        `json:"held" doc:"Removals that wait"`
}

// Storage is how full the store is, in bytes.
type Storage struct {
	Size  int64  `json:"size" doc:"Of etcd's file"`
	InUse int64  `json:"inUse"`
	Quota int64  `json:"quota" doc:"0: unknown"`
	Alarm bool   `json:"alarm" doc:"etcd refuses to grow"`
	Full  string `json:"full,omitempty" doc:"Why nothing new is taken"`
}

// ServerState is one server as another one sees it.
type ServerState struct {
	ID        string            `json:"id"`
	Name      string            `json:"name,omitempty"`
	HTTP      string            `json:"http" doc:"URL"`
	DNS       string            `json:"dns"`
	Version   string            `json:"version"`
	Started   time.Time         `json:"started"`
	Judge     bool              `json:"judge"`
	Self      bool              `json:"self" doc:"It is the one that was asked"`
	Reachable bool              `json:"reachable"`
	Error     string            `json:"error,omitempty" doc:"Why it could not be reached"`
	Ready     bool              `json:"ready"`
	Stale     bool              `json:"stale"`
	Full      string            `json:"full,omitempty" doc:"Why it takes nothing new"`
	AgeMs     int64             `json:"ageMs"`
	Revision  int64             `json:"revision"`
	Instances int               `json:"instances"`
	Digests   map[string]string `json:"digests,omitempty"`
}

// ServerList is every live server.
type ServerList struct {
	Judge      string        `json:"judge,omitempty" doc:"Id of the server that judges beats"`
	Servers    []ServerState `json:"servers" nullable:"false"`
	Protection *Protection   `json:"protection,omitempty"`
}

// Heard answers a batch of witnesses that another server heard of.
type Heard struct {
	Accepted bool   `json:"accepted" doc:"They are, or will be, with the judge"`
	Judge    string `json:"judge,omitempty"`
	Away     bool   `json:"away,omitempty" doc:"etcd does not answer this server"`
	Reason   string `json:"reason,omitempty"`
}

// Recent is the last revisions of a server's snapshots with their digests.
type Recent struct {
	Shown   []Shown `json:"shown" nullable:"false" doc:"Of the registry"`
	Configs []Shown `json:"configs" nullable:"false" doc:"Of the configuration centre"`
}

// Shown is one snapshot in short.
type Shown struct {
	Revision int64  `json:"revision"`
	Digest   string `json:"digest"`
}

// Member is one member of an embedded etcd cluster.
type Member struct {
	ID      string   `json:"id"`
	Name    string   `json:"name,omitempty" doc:"Empty until it has started"`
	Peers   []string `json:"peers" nullable:"false" doc:"Peer URLs"`
	Learner bool     `json:"learner" doc:"It catches up and has no vote yet"`
	Leader  bool     `json:"leader"`
	Healthy bool     `json:"healthy" doc:"It answers other members"`
}

// MemberList is every member of an embedded etcd cluster.
type MemberList struct {
	Members []Member `json:"members" nullable:"false"`
}

// MemberSpec is a member to be.
type MemberSpec struct {
	Name string `json:"name" minLength:"1" maxLength:"64"`
	Peer string `json:"peer" minLength:"1" maxLength:"255" doc:"host:port it will listen on for its peers"`
}

// MemberAdded says how the server of a new member must be started.
type MemberAdded struct {
	InitialCluster string `json:"initialCluster" doc:"Every member, NAME=HOST:PORT, with commas between"`
}
