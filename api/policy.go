package api

// Paths of policies: of a namespace, and of the quotas of a group in it.
const (
	PathPolicies    = "/v1/config-policies"
	PathPolicy      = "/v1/config-policies/{namespace}"
	PathGroupPolicy = "/v1/config-policies/{namespace}/{group}"
)

// Quota bounds documents; 0 bounds nothing.
type Quota struct {
	Count int64 `json:"count,omitempty" minimum:"0" doc:"Documents"`
	Size  int64 `json:"size,omitempty" minimum:"0" doc:"Bytes of one document"`
	Total int64 `json:"total,omitempty" minimum:"0" doc:"Bytes of all"`
}

// GroupPolicySpec is what an operator may set for a group.
type GroupPolicySpec struct {
	Hard Quota `json:"hard,omitzero" doc:"What is over it is refused"`
	Soft Quota `json:"soft,omitzero" doc:"What is over it is a warning to the writer"`
}

// PolicySpec is what an operator may set for a namespace.
type PolicySpec struct {
	GroupPolicySpec

	Validate     string `json:"validate,omitempty" enum:"off,warn,refuse" doc:"What becomes of a content that its type or schema does not fit; warn when absent"`
	HistoryDays  int    `json:"historyDays,omitempty" minimum:"0" maximum:"36500" doc:"Days that history is kept; 30 when 0 or absent"`
	HistoryCount int    `json:"historyCount,omitempty" minimum:"0" doc:"Records that are kept of each document; any number when 0 or absent"`
}

// ConfigUsage is what there is of documents.
type ConfigUsage struct {
	Count int64 `json:"count" doc:"Documents"`
	Total int64 `json:"total" doc:"Bytes of all"`
}

// Policy is what stands for a namespace, or for a group in it.
type Policy struct {
	Namespace string `json:"namespace"`
	Group     string `json:"group,omitempty"`
	PolicySpec

	Usage    ConfigUsage `json:"usage"`
	Revision int64       `json:"revision,omitempty" doc:"Revision at which it was set; absent where nothing is"`
}

// PolicyList lists the policies that were set.
type PolicyList struct {
	Revision int64    `json:"revision"`
	Policies []Policy `json:"policies" nullable:"false"`
}
