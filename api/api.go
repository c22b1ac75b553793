// Package api holds the wire types and paths of Muster's own HTTP API, version 1.
//
// The server answers with these types, package client and the agent send and
// read them. Paths are relative to the server's HTTP address; a path variable
// is one escaped segment (url.PathEscape), so names may hold "/" and ":".
// Failures carry a Problem (RFC 9457) with the media type
// application/problem+json.
package api

// Paths of version 1. The text between braces is a path variable.
const (
	PathServices  = "/v1/services"
	PathService   = "/v1/services/{namespace}/{group}/{service}"
	PathClaim     = "/v1/services/{namespace}/{group}/{service}/claim"
	PathInstances = "/v1/services/{namespace}/{group}/{service}/instances"
	PathInstance  = "/v1/services/{namespace}/{group}/{service}/instances/{endpoint}"
	PathBeat      = "/v1/services/{namespace}/{group}/{service}/instances/{endpoint}/beat"
	PathAgents    = "/v1/agents"
	PathAgent     = "/v1/agents/{id}"
	PathAgentBeat = "/v1/agents/{id}/beat"
	PathResolve   = "/v1/resolve"
)

// HeaderRevision names the response header that carries the registry or
// configuration revision an answer was read at, or a write was committed at.
const HeaderRevision = "Muster-Revision"

// HeaderLagging is set to "true" on a successful write that is committed but
// was not yet visible in the answering server's own snapshot when it answered.
const HeaderLagging = "Muster-Lagging"

// Health of an instance as its owner sees it.
const (
	HealthPassing  = "passing"
	HealthCritical = "critical"
	// HealthUnknown means not checked since the agent started: what stands on
	// the server stays, a new instance starts unhealthy.
	HealthUnknown = "unknown"
)

// Problem is the body of every failed call (RFC 9457).
type Problem struct {
	Type   string         `json:"type,omitempty"` // absent: about:blank, status and title say it all
	Title  string         `json:"title,omitempty"`
	Status int            `json:"status"`
	Detail string         `json:"detail,omitempty"`
	Errors []ProblemField `json:"errors,omitempty"`
}

// ProblemField names one field that was wrong, or that what is asked for hangs on.
type ProblemField struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty"`
	Value    any    `json:"value,omitempty"` // what was sent; of a condition that does not hold, the revision that stands
}

// Instance is one instance of a service, as written and as read.
type Instance struct {
	Address  string            `json:"address" doc:"IP address or host name" maxLength:"255" example:"192.0.2.10"`
	Port     uint16            `json:"port" doc:"Port, 0 to 65535" example:"8080"`
	Cluster  string            `json:"cluster,omitempty" doc:"Cluster, DEFAULT when empty" maxLength:"64"`
	Weight   *float64          `json:"weight,omitempty" doc:"Weight, 0 to 10000; 1 when absent, 0 gets no traffic" minimum:"0" maximum:"10000"`
	Enabled  *bool             `json:"enabled,omitempty" doc:"Whether it may be answered; true when absent"`
	Healthy  *bool             `json:"healthy,omitempty" doc:"Health; true when absent on a write"`
	Metadata map[string]string `json:"metadata,omitempty" doc:"Free key/value pairs"`

	// What only the server says.
	Ephemeral bool      `json:"ephemeral" doc:"Lives by beats; false: stays until deregistered"`
	Checked   bool      `json:"checked,omitempty" doc:"Persistent: the servers check it by TCP, unless its cluster says how"`
	Silent    bool      `json:"silent,omitempty" readOnly:"true" doc:"It is unhealthy because its beats, or those of its agent, stay away"`
	Failing   bool      `json:"failing,omitempty" readOnly:"true" doc:"It is unhealthy because a server's check of it fails"`
	Failure   string    `json:"failure,omitempty" readOnly:"true" doc:"Why the check failed when that was found: refused, unreachable, no answer in time, wrong answer, wrong password or not allowed"`
	Declared  *Declared `json:"declared,omitempty" readOnly:"true" doc:"What its owner declares, where that is not what is answered"`
	Override  *Override `json:"override,omitempty" readOnly:"true" doc:"What an operator says of it, if anything"`
	Witness   string    `json:"witness,omitempty" readOnly:"true" doc:"Who vouches for it: agent/ID, http, connection, or empty when persistent"`
	Revision  int64     `json:"revision,omitempty" readOnly:"true" doc:"Revision at which it was last declared or overridden"`
	DNSName   string    `json:"dnsName,omitempty" readOnly:"true" doc:"DNS name of its address in the service, below the zone; absent for a host name"`
}

// ServiceDNS says how a service wants to be answered in DNS; what is absent is
// as the zone has it.
type ServiceDNS struct {
	TTL      *uint32 `json:"ttl,omitempty" doc:"Time to live of its records in seconds, 0 to 2147483647; by the rules of the zone when absent" example:"30"`
	Mode     string  `json:"mode,omitempty" doc:"Which addresses are answered: ordered (the first is the one to use, the others are for failing over), sampled (for resolvers that rotate: each answered one gets the same part of the traffic) or single (one); as the zone has it when absent" example:"sampled"`
	Topology string  `json:"topology,omitempty" doc:"What metadata zone and region of its instances mean for somebody whose place is known: prefer (its zone first, then its region, then the others) or pin (its zone alone); nothing when absent" example:"prefer"`
}

// ServiceRef names a service.
type ServiceRef struct {
	Namespace string `json:"namespace"`
	Group     string `json:"group"`
	Name      string `json:"name"`
}

// DNSHolder is who holds a folded name.
type DNSHolder struct {
	ServiceRef

	Kept bool `json:"kept,omitempty" doc:"That service is gone, and its name is kept from others until nobody has an answer of it any more"`
}

// Service is one service with what the server knows of it.
type Service struct {
	Namespace        string                    `json:"namespace"`
	Group            string                    `json:"group"`
	Name             string                    `json:"name"`
	Ephemeral        bool                      `json:"ephemeral" doc:"Whether its instances live by beats"`
	ProtectThreshold float64                   `json:"protectThreshold" minimum:"0" maximum:"1"`
	Metadata         map[string]string         `json:"metadata,omitempty"`
	DNS              *ServiceDNS               `json:"dns,omitempty" doc:"How it wants to be answered in DNS"`
	Selector         *Selector                 `json:"selector,omitempty" doc:"What consumers get of it; everything when absent"`
	Clusters         map[string]ServiceCluster `json:"clusters,omitempty" doc:"What is said of its clusters; others are as they come"`
	InstanceCount    int                       `json:"instanceCount"`
	HealthyCount     int                       `json:"healthyCount"`
	DNSName          string                    `json:"dnsName,omitempty" doc:"Folded DNS name, absent when it has none"`
	DNSExact         string                    `json:"dnsExact" doc:"Exact DNS name, always works"`
	DNSShadowed      bool                      `json:"dnsShadowed,omitempty" doc:"Another service held the folded name when this one came: it has its exact name alone"`
	DNSFolded        string                    `json:"dnsFolded,omitempty" doc:"The folded name it would have, when it is shadowed"`
	DNSHolder        *DNSHolder                `json:"dnsHolder,omitempty" doc:"Who holds that name; absent when it is free by now"`
	Revision         int64                     `json:"revision,omitempty"`
}

// ServiceSpec is what a caller may set of a service.
type ServiceSpec struct {
	Ephemeral        *bool                     `json:"ephemeral,omitempty" doc:"Fixed at creation; false when absent"`
	ProtectThreshold float64                   `json:"protectThreshold,omitempty" minimum:"0" maximum:"1"`
	Metadata         map[string]string         `json:"metadata,omitempty"`
	DNS              *ServiceDNS               `json:"dns,omitempty" doc:"How it wants to be answered in DNS; as the zone has it when absent"`
	Selector         *Selector                 `json:"selector,omitempty" doc:"What consumers get of it; left as it is when absent"`
	Clusters         map[string]ServiceCluster `json:"clusters,omitzero" doc:"All that is said of its clusters; left as it is when absent"`
}

// ServiceList is one page of services.
type ServiceList struct {
	Total    int       `json:"total"`
	Revision int64     `json:"revision"`
	Services []Service `json:"services" nullable:"false"`
}

// InstanceList is one page of a service's instances at one revision.
type InstanceList struct {
	Total     int        `json:"total" doc:"How many there are on all pages"`
	Service   Service    `json:"service"`
	Protected bool       `json:"protected,omitempty" doc:"The protect threshold holds: unhealthy instances are answered too"`
	Revision  int64      `json:"revision"`
	Instances []Instance `json:"instances" nullable:"false"`
}

// AgentInstance is one member of an agent's declared set.
type AgentInstance struct {
	Namespace string            `json:"namespace,omitempty" doc:"public when empty"`
	Group     string            `json:"group,omitempty" doc:"DEFAULT_GROUP when empty"`
	Service   string            `json:"service" minLength:"1"`
	Address   string            `json:"address" minLength:"1"`
	Port      uint16            `json:"port"`
	Cluster   string            `json:"cluster,omitempty"`
	Weight    *float64          `json:"weight,omitempty" minimum:"0" maximum:"10000"`
	Enabled   *bool             `json:"enabled,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Health    string            `json:"health" enum:"passing,critical,unknown"`
}

// AgentSet is an agent's whole declared set; a PUT of it is idempotent and
// replaces whatever the agent declared before.
type AgentSet struct {
	Incarnation string `json:"incarnation" minLength:"1" maxLength:"64" doc:"New when the agent was deregistered; a restart goes on with it"`
	Host        string `json:"host,omitempty" maxLength:"255"`
	// Exclusive refuses the set with 409 while another incarnation of the agent is
	// alive: two hosts with one id must not take it from each other. The problem
	// names [FieldIncarnation] and the other host.
	Exclusive bool `json:"exclusive,omitempty" doc:"Refuse the set while another incarnation is alive, unless claim says that it has ended"`
	// Boot tells hosts apart. With Claim an incarnation that gave the same one gives
	// way: it ran on the host of this one, and has ended.
	Boot      string          `json:"boot,omitempty" maxLength:"64" doc:"Fingerprint of the running host"`
	Claim     bool            `json:"claim,omitempty" doc:"An incarnation of the same boot has ended, and gives way"`
	Instances []AgentInstance `json:"instances" nullable:"false"`
}

// FieldIncarnation is the location that the problem of a set names which was
// refused for another incarnation that is alive.
const FieldIncarnation = "body.incarnation"

// AgentBeat says that an agent is alive and what it believes it declared.
type AgentBeat struct {
	Incarnation string `json:"incarnation" minLength:"1" maxLength:"64"`
	Sequence    uint64 `json:"sequence" doc:"Grows with every beat of one incarnation"`
	Digest      string `json:"digest" doc:"Digest of the declared set, health left out"`
	Health      string `json:"health,omitempty" doc:"Digest of the health of the set; empty while any of it is unknown, then it is not compared"`
}

// AgentAnswer answers a set or a beat.
type AgentAnswer struct {
	Interval int      `json:"interval" doc:"Milliseconds until the next beat is expected"`
	Resync   bool     `json:"resync" doc:"Send the whole set again"`
	DNS      []string `json:"dns,omitempty" doc:"DNS addresses of the servers"`
	Zones    []string `json:"zones,omitempty" doc:"DNS zones that they answer for"`
	Hold     int64    `json:"hold,omitempty" doc:"Milliseconds that DNS answers with instances of the agent may be kept"`
	Revision int64    `json:"revision"`
	// Superseded is the host of the incarnation that stands in place of the one
	// that beats, and is alive.
	Superseded string `json:"superseded,omitempty" doc:"Host of another incarnation that stands and is alive"`
	// Rejected lists members of the set that were refused, with the reason;
	// the others stand.
	Rejected []Rejected `json:"rejected,omitempty"`
}

// Rejected is one member of an agent's set that the server refused.
type Rejected struct {
	Index  int    `json:"index" doc:"Position in the set that was sent"`
	Reason string `json:"reason"`
	// Standby means that another agent declares the same instance: this one's
	// stands once that one's is gone.
	Standby bool `json:"standby,omitempty" doc:"Another agent has the instance; this one takes over when that one is silent, drains or leaves"`
}

// Agent is what the server knows of an agent.
type Agent struct {
	ID          string `json:"id"`
	Incarnation string `json:"incarnation"`
	Host        string `json:"host,omitempty"`
	Instances   int    `json:"instances"`
	Silent      bool   `json:"silent"`
}

// AgentList lists the agents.
type AgentList struct {
	Revision int64   `json:"revision"`
	Agents   []Agent `json:"agents" nullable:"false"`
}
