package api

// PathOverride is an operator's say over an instance.
const PathOverride = "/v1/services/{namespace}/{group}/{service}/instances/{endpoint}/override"

// InstanceEdit changes what an operator says of an instance; what is absent
// stays as it was said before.
type InstanceEdit struct {
	Weight       *float64          `json:"weight,omitempty" minimum:"0" maximum:"10000" example:"0"`
	Enabled      *bool             `json:"enabled,omitempty"`
	Healthy      *bool             `json:"healthy,omitempty" doc:"Of a persistent instance that no server checks; 409 for any other"`
	Metadata     map[string]string `json:"metadata,omitempty" doc:"Laid over what the owner declares, and added to what was said before"`
	DropMetadata []string          `json:"dropMetadata,omitempty" nullable:"false" doc:"Metadata keys that nothing is said of any more"`
	Pinned       *bool             `json:"pinned,omitempty" doc:"Keep it when the instance is gone, and lay it over one that comes back; otherwise it ends a minute after the instance"`
}

// Override is what an operator says of an instance.
type Override struct {
	Weight   *float64          `json:"weight,omitempty"`
	Enabled  *bool             `json:"enabled,omitempty"`
	Healthy  *bool             `json:"healthy,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Pinned   bool              `json:"pinned,omitempty" doc:"It stays when the instance is gone"`
}

// Declared is what the owner of an instance declares, where that is not what is
// answered.
type Declared struct {
	Weight   float64           `json:"weight"`
	Enabled  bool              `json:"enabled"`
	Healthy  bool              `json:"healthy"`
	Metadata map[string]string `json:"metadata,omitempty"`
}
