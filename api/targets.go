package api

// PathTargets lists instances as targets of Prometheus.
const PathTargets = "/v1/prometheus/targets"

// TargetGroup is one instance as a group of the HTTP service discovery of Prometheus.
type TargetGroup struct {
	Targets []string          `json:"targets" nullable:"false" doc:"Its endpoint"`
	Labels  map[string]string `json:"labels"`
}
