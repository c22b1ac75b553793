package registry

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is a kind of record; its text is the word the store files it under.
type Kind string

// The kinds of records, each with exactly one kind of writer.
const (
	KindNamespace    Kind = "ns"  // operator
	KindClaim        Kind = "dns" // with the service it names
	KindService      Kind = "svc" // first instance, operator
	KindRegistration Kind = "ins" // owner of the instance
	KindOverride     Kind = "ovr" // operator
	KindTombstone    Kind = "tmb" // deregistration
	KindVerdict      Kind = "vrd" // judge
	KindAgent        Kind = "agt" // agent
	KindSettings     Kind = "set" // operator
	KindStandby      Kind = "sby" // agents that declare an instance which another one has
	KindHolding      Kind = "con" // the connection that declares it
)

// Key names one record: its kind and the components of its name.
type Key struct {
	Kind Kind
	Name [4]string
}

// Parts returns how many components a key of kind k has, 0 for an unknown kind.
func (k Kind) Parts() int {
	switch k {
	case KindNamespace, KindClaim, KindAgent, KindSettings:
		return 1
	case KindVerdict:
		return 2
	case KindService:
		return 3
	case KindRegistration, KindOverride, KindTombstone, KindStandby, KindHolding:
		return 4
	}
	return 0
}

// Record is one thing the store keeps.
type Record interface{ RecordKey() Key }

// Namespace is declared by an operator; services may live in one that is not.
type Namespace struct {
	ID          string `json:"-"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
}

// Claim says which service owns a folded DNS name.
type Claim struct {
	Folded  string     `json:"-"` // below the zone
	Service ServiceKey `json:"service"`
	// Released means that the service is gone and its name is kept from others
	// until nobody has an answer of it any more: for Keep at the least, from when
	// the judge first sees it.
	Released bool          `json:"released,omitempty"`
	Keep     time.Duration `json:"keep,omitempty"`
}

// ServiceRecord is what is kept of a service beside its instances.
type ServiceRecord struct {
	Key              ServiceKey        `json:"-"`
	Ephemeral        bool              `json:"ephemeral"`
	ProtectThreshold float64           `json:"protectThreshold,omitempty"` // 0: no protection
	Metadata         map[string]string `json:"metadata,omitempty"`
	Declared         bool              `json:"declared,omitempty"` // made by a call of its own, not by an instance
	Shadowed         bool              `json:"shadowed,omitempty"` // another service holds its folded name
	DNS              DNSOptions        `json:"dns,omitzero"`
	Selector         Selector          `json:"selector,omitzero"`
	// Clusters is what an operator says of clusters, by name; others are as they come.
	Clusters map[string]Cluster `json:"clusters,omitempty"`
}

// Registration is an instance as its owner declares it.
type Registration struct {
	Key     InstanceKey `json:"-"`
	Cluster string      `json:"cluster"`
	Weight  float64     `json:"weight"`
	Enabled bool        `json:"enabled"`
	Healthy bool        `json:"healthy"`
	// Checked has the servers check a persistent instance by TCP, unless its
	// cluster says how to check.
	Checked  bool     `json:"checked,omitempty"`
	Metadata Metadata `json:"metadata,omitzero"`
	Witness  Witness  `json:"witness,omitempty"`
}

// Override is the operator's say over an instance; nil leaves a part alone.
type Override struct {
	Key      InstanceKey       `json:"-"`
	Weight   *float64          `json:"weight,omitempty"`
	Enabled  *bool             `json:"enabled,omitempty"`
	Healthy  *bool             `json:"healthy,omitempty"`  // of a persistent instance that nobody checks
	Metadata map[string]string `json:"metadata,omitempty"` // merged over the owner's
	// Pinned keeps it when the instance is gone; else it ends a while after that.
	Pinned bool `json:"pinned,omitempty"`
}

// Tombstone blocks late beats of a deregistered instance for a while; an
// explicit registration clears it.
type Tombstone struct {
	Key  InstanceKey   `json:"-"`
	Keep time.Duration `json:"keep"` // from when the judge first sees it
}

// Verdict says that a witness was silent, about its instances of one pair of
// timeouts, or that a server-side check of an instance failed. It counts only for
// the incarnation it judged: of a check that is [HealthCheck.ID].
type Verdict struct {
	Key         VerdictKey `json:"-"`
	Incarnation string     `json:"incarnation"`
	Since       time.Time  `json:"since"`         // for people: when it was written
	Why         string     `json:"why,omitempty"` // for people: of a check, why it failed then
}

// VerdictKey names the instances a verdict is about.
type VerdictKey struct {
	Witness string // Registration.witnessID, or of a check witnessCheck and the instance
	Class   string // Timeouts.class, or of a check classCheck
}

// What a verdict of a check is kept under.
const (
	witnessCheck = "check/"
	classCheck   = "check"
)

func (k InstanceKey) checked() VerdictKey { return VerdictKey{witnessCheck + k.String(), classCheck} }

// AgentRecord is an agent's incarnation and host.
type AgentRecord struct {
	ID          string `json:"-"`
	Incarnation string `json:"incarnation"`
	Host        string `json:"host,omitempty"`
	Boot        string `json:"boot,omitempty"` // fingerprint of the host that runs
}

// Settings are what an operator sets of all servers alike while they run. What
// they mean is the business of who reads them.
type Settings struct {
	Name   string            `json:"-"`
	Values map[string]string `json:"values,omitempty"`
}

// Witness says who vouches for an instance: "" nobody (persistent),
// [WitnessHTTP] its own beats, [WitnessConnection] a connection, agent/ID an agent.
type Witness string

// WitnessHTTP marks an instance that beats for itself.
const WitnessHTTP Witness = "http"

// WitnessConnection marks an instance that stands while a client is connected. Which
// connection it is, [Snapshot.HeldBy] knows.
const WitnessConnection Witness = "connection"

// WitnessAgent returns the witness of an agent's instances.
func WitnessAgent(id string) Witness { return Witness("agent/" + id) }

// Agent returns the agent's id, and false when the witness is no agent.
func (w Witness) Agent() (string, bool) {
	if id, ok := strings.CutPrefix(string(w), "agent/"); ok {
		return id, true
	}
	return "", false
}

// of names the one who beats for an instance: an agent for all of its instances, an
// instance for itself; "" when nobody does, or a connection of which a [Holding] tells.
func (w Witness) of(k InstanceKey) string {
	switch w {
	case WitnessHTTP:
		return "http/" + k.String()
	case WitnessConnection:
		return ""
	}
	return string(w)
}

func (r *Registration) witnessID() string { return r.Witness.of(r.Key) }

// class names the timeouts a witness is judged by.
func (t Timeouts) class() string {
	return strconv.FormatInt(t.Unhealthy.Milliseconds(), 10) + "-" + strconv.FormatInt(t.Delete.Milliseconds(), 10)
}

func (k InstanceKey) record(kind Kind) Key {
	s := k.Service
	return Key{kind, [4]string{s.Namespace, s.Group, s.Name, k.Endpoint.String()}}
}

// RecordKey returns where the record is kept.
func (n *Namespace) RecordKey() Key { return Key{KindNamespace, [4]string{n.ID}} }

// RecordKey returns where the record is kept.
func (c *Claim) RecordKey() Key { return Key{KindClaim, [4]string{c.Folded}} }

// RecordKey returns where the record is kept.
func (s *ServiceRecord) RecordKey() Key { return s.Key.record() }

func (k ServiceKey) record() Key { return Key{KindService, [4]string{k.Namespace, k.Group, k.Name}} }

// RecordKey returns where the record is kept.
func (r *Registration) RecordKey() Key { return r.Key.record(KindRegistration) }

// RecordKey returns where the record is kept.
func (o *Override) RecordKey() Key { return o.Key.record(KindOverride) }

// RecordKey returns where the record is kept.
func (t *Tombstone) RecordKey() Key { return t.Key.record(KindTombstone) }

// RecordKey returns where the record is kept.
func (v *Verdict) RecordKey() Key { return v.Key.record() }

func (k VerdictKey) record() Key { return Key{KindVerdict, [4]string{k.Witness, k.Class}} }

// RecordKey returns where the record is kept.
func (a *AgentRecord) RecordKey() Key { return Key{KindAgent, [4]string{a.ID}} }

// RecordKey returns where the record is kept.
func (s *Settings) RecordKey() Key { return Key{KindSettings, [4]string{s.Name}} }

// Decode returns the record that a store kept under key. It fails on a key of no
// known kind, on a name that cannot be one or is not spelled as [Record].RecordKey
// spells it, and on a value that is not its JSON.
func Decode(key Key, value []byte) (Record, error) {
	r, err := emptyRecord(key)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(value, r); err != nil {
		return nil, fmt.Errorf("record %s %q: %w", key.Kind, key.Name, err)
	}
	if r.RecordKey() != key { // it could be neither checked nor deleted by its own key
		return nil, fmt.Errorf("record %s %q: should be kept under %q", key.Kind, key.Name, r.RecordKey().Name)
	}
	return r, nil
}

func emptyRecord(key Key) (Record, error) {
	n := key.Name
	switch key.Kind {
	case KindNamespace:
		return &Namespace{ID: n[0]}, nil
	case KindClaim:
		return &Claim{Folded: n[0]}, nil
	case KindService:
		return &ServiceRecord{Key: ServiceKey{n[0], n[1], n[2]}}, nil
	case KindVerdict:
		return &Verdict{Key: VerdictKey{n[0], n[1]}}, nil
	case KindAgent:
		return &AgentRecord{ID: n[0]}, nil
	case KindSettings:
		return &Settings{Name: n[0]}, nil
	}
	e, err := ParseEndpoint(n[3])
	if err != nil {
		return nil, fmt.Errorf("record %s %q: %w", key.Kind, n, err)
	}
	i := InstanceKey{ServiceKey{n[0], n[1], n[2]}, e}
	switch key.Kind {
	case KindRegistration:
		return &Registration{Key: i}, nil
	case KindOverride:
		return &Override{Key: i}, nil
	case KindTombstone:
		return &Tombstone{Key: i}, nil
	case KindStandby:
		return &Standby{Key: i}, nil
	case KindHolding:
		return &Holding{Key: i}, nil
	}
	return nil, fmt.Errorf("record of unknown kind %q", key.Kind)
}
