package api

// What becomes of a document that is there already, when it is imported or copied.
const (
	OnConflictAbort     = "abort"     // nothing is changed at all
	OnConflictSkip      = "skip"      // it stays as it is
	OnConflictOverwrite = "overwrite" // what comes is published as a new version
)

// ConfigImport says what became of an import, or of a copy.
type ConfigImport struct {
	Revision  int64           `json:"revision,omitempty" doc:"Revision of the last write"`
	Restored  int             `json:"restored" doc:"Documents that came with all their history"`
	Published int             `json:"published" doc:"Documents that were published as a new version"`
	Skipped   []ConfigSkipped `json:"skipped,omitempty"`
	Policies  int             `json:"policies,omitempty" doc:"Policies that were set"`
	Warnings  []string        `json:"warnings,omitempty"`
}

// ConfigSkipped is a document that stayed as it was.
type ConfigSkipped struct {
	Namespace string `json:"namespace"`
	Group     string `json:"group"`
	DataID    string `json:"dataId"`
	Reason    string `json:"reason"`
}

// ConfigClone asks for a copy of documents in another namespace.
type ConfigClone struct {
	From       string   `json:"from" minLength:"1" doc:"Namespace of the documents"`
	To         string   `json:"to" minLength:"1" doc:"Namespace of the copies"`
	Group      string   `json:"group,omitempty" doc:"Only of this group; all when empty"`
	DataIDs    []string `json:"dataIds,omitempty" maxItems:"10000" doc:"Only these; all when empty"`
	OnConflict string   `json:"onConflict,omitempty" enum:"abort,skip,overwrite" doc:"What becomes of documents that are there already; abort when empty"`
}
