package api

// Paths of namespaces.
const (
	PathNamespaces = "/v1/namespaces"
	PathNamespace  = "/v1/namespaces/{namespace}"
)

// NamespaceSpec is what a caller may say of a namespace.
type NamespaceSpec struct {
	Name        string `json:"name,omitempty" doc:"Name for people, up to 256 characters" example:"Development"`
	Description string `json:"description,omitempty" doc:"Up to 1024 bytes"`
}

// Namespace is a namespace that is declared, or used without that.
type Namespace struct {
	ID          string `json:"id" example:"dev"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	Declared    bool   `json:"declared" doc:"false: it is there by being used, or by default"`
	Services    int    `json:"services" doc:"How many services live in it"`
	Configs     int    `json:"configs" doc:"How many documents"`
	Revision    int64  `json:"revision,omitempty" doc:"Revision of what is said of it; absent where nothing is"`
}

// NamespaceList is one page of namespaces.
type NamespaceList struct {
	Total      int         `json:"total"`
	Revision   int64       `json:"revision"`
	Namespaces []Namespace `json:"namespaces" nullable:"false"`
}
