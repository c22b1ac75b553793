package api

// PathCluster names a cluster of a service.
const PathCluster = "/v1/services/{namespace}/{group}/{service}/clusters/{cluster}"

// ServiceCluster is what an operator says of a cluster of a service.
type ServiceCluster struct {
	Check    *HealthCheck      `json:"check,omitempty" doc:"How the servers check its persistent instances; as each of them asks for when absent"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// HealthCheck says how the servers find out whether a persistent instance works.
type HealthCheck struct {
	Kind string `json:"kind" enum:"none,tcp,http,mysql,redis,grpc" doc:"none: nobody asks, the health is what is declared or an operator says" example:"http"`
	Port uint16 `json:"port,omitempty" doc:"That of the instance when absent" example:"8081"`

	Path    string            `json:"path,omitempty" doc:"Of http: path and query, / when absent" example:"/healthz"`
	Headers map[string]string `json:"headers,omitempty" doc:"Of http: sent with each request, and shown to whoever may read the service: no place for secrets"`
	Expect  []int             `json:"expect,omitempty" nullable:"false" doc:"Of http: statuses that pass, 200 to 299 when absent"`

	User        string `json:"user,omitempty" doc:"Of mysql and redis"`
	Password    string `json:"password,omitempty" doc:"Of mysql and redis; never shown. Left out by who changes a check of the same kind and user, it stays as it is"`
	PasswordSet bool   `json:"passwordSet,omitempty" doc:"Whether there is a password; ignored when written"`
	Command     string `json:"command,omitempty" doc:"Of mysql, select 1 when absent"`
	Service     string `json:"service,omitempty" doc:"Of grpc, the server as a whole when absent"`

	TLS      bool  `json:"tls,omitempty" doc:"Of http, redis and grpc; the certificate is not verified"`
	Interval int64 `json:"interval,omitempty" minimum:"0" maximum:"3600000" doc:"Milliseconds between two tries, 5000 when absent"`
	Timeout  int64 `json:"timeout,omitempty" minimum:"0" maximum:"3600000" doc:"Milliseconds that one may take, 2000 when absent; at most the interval"`
	Rise     int   `json:"rise,omitempty" minimum:"0" maximum:"100" doc:"Successes in a row until healthy, 3 when absent"`
	Fall     int   `json:"fall,omitempty" minimum:"0" maximum:"100" doc:"Failures in a row until unhealthy, 3 when absent"`
}

// Selector narrows what a consumer gets down to the instances that suit it.
type Selector struct {
	Labels string `json:"labels,omitempty" maxLength:"1024" doc:"Labels that consumer and instance must share" example:"CONSUMER.label.zone = PROVIDER.label.zone"`
}
