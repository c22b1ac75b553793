package api

// Explanation says how a DNS question comes by its answer on the server that was
// asked.
type Explanation struct {
	Name     string   `json:"name" doc:"As asked, below the zone; a reverse name is whole"`
	Type     string   `json:"type"`
	Zone     string   `json:"zone,omitempty" doc:"Zone whose rules apply"`
	Revision int64    `json:"revision"`
	Is       string   `json:"is" enum:"service,instance,address,list,reverse,zone,nameserver,above,unknown,outside" doc:"What the name is: zone and nameserver are so by the settings; above holds nothing and leads to names that do, outside is in no zone of the server"`
	By       []string `json:"by,omitempty" doc:"What it is made of: folded or exact; cluster, version, selector, browse, inst"`
	Status   string   `json:"status" enum:"found,nodata,nxdomain,refused"`
	Reason   string   `json:"reason,omitempty" doc:"no healthy instance, or protected: unhealthy ones are answered too"`

	Service  *Service      `json:"service,omitempty" doc:"That the name is of"`
	Address  string        `json:"address,omitempty" doc:"Of an instance, an address or a reverse name"`
	Cluster  string        `json:"cluster,omitempty" doc:"Folded: that the name asks for"`
	Version  string        `json:"version,omitempty" doc:"Folded: that the name asks for"`
	Protocol string        `json:"protocol,omitempty" doc:"That the name asks for, such as http/tcp"`
	Claim    *Claim        `json:"claim,omitempty" doc:"Whose the folded name is"`
	Health   *HealthOfName `json:"health,omitempty" doc:"Of the instances that the name admits"`
	Rules    *AnswerRules  `json:"rules,omitempty" doc:"By which answers are made"`

	Names     []string    `json:"names,omitempty" doc:"Answered to PTR, below the zone"`
	Instances []Candidate `json:"instances,omitempty"`
	Near      []string    `json:"near,omitempty" doc:"Names that may have been meant"`
}

// Claim says whose a folded DNS name is.
type Claim struct {
	Name     string       `json:"name"`
	Holder   *DNSHolder   `json:"holder,omitempty" doc:"Absent when it is free"`
	Shadowed []ServiceRef `json:"shadowed,omitempty" doc:"Services that would have the name and do not"`
}

// HealthOfName says how the protect threshold stands.
type HealthOfName struct {
	Healthy   int     `json:"healthy"`
	All       int     `json:"all" doc:"Enabled and of a weight above 0"`
	Threshold float64 `json:"threshold"`
	Protected bool    `json:"protected" doc:"The threshold holds: all are answered, healthy or not"`
}

// AnswerRules are the mode and time to live that apply, and the place of who asks.
type AnswerRules struct {
	Mode     string  `json:"mode,omitempty" doc:"As the service has it, else the zone; absent where the server does not know"`
	TTL      *uint32 `json:"ttl,omitempty" doc:"As the service has it, else the zone; absent where the server does not know"`
	Topology string  `json:"topology,omitempty" doc:"As the service has it"`
	Zone     string  `json:"fromZone,omitempty" doc:"Zone of who asks"`
	Region   string  `json:"fromRegion,omitempty" doc:"Region of who asks"`
}

// Candidate is an instance that a name leads to, and what becomes of it.
type Candidate struct {
	Service   *ServiceRef `json:"service,omitempty" doc:"Absent when the name is of one service"`
	Address   string      `json:"address"`
	Port      uint16      `json:"port"`
	Cluster   string      `json:"cluster"`
	Answered  bool        `json:"answered"`
	Why       string      `json:"why,omitempty" doc:"Why it is not: other cluster, other version, other protocol, disabled, weight 0, unhealthy (as declared), silent or failing (judged), other labels, further away, no address of this family, host name, no alpn, not of this type, in no zone"`
	Weight    float64     `json:"weight"`
	Share     float64     `json:"share" doc:"Of what goes to the answered ones while all of them work, 0 to 1"`
	SRVWeight uint16      `json:"srvWeight,omitempty" doc:"Absent where it is not in the set"`
	Priority  uint16      `json:"priority,omitempty" doc:"0 to 2 by nearness"`
}
