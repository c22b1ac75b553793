package api

// Rule names clients. All that is given must hold, and something must be given.
type Rule struct {
	IPs     []string          `json:"ips,omitempty" doc:"Addresses, or networks such as 10.1.0.0/16, of which one holds the client's"`
	Tag     string            `json:"tag,omitempty" doc:"What the client calls itself"`
	Percent float64           `json:"percent,omitempty" doc:"Share of all clients, above 0 and up to 100; who is in stays in when it grows"`
	Labels  map[string]string `json:"labels,omitempty" doc:"All found on the client"`
}

// Release is a gray release: another content of a document, for the clients that
// its rule names.
type Release struct {
	Name     string `json:"name"`
	Rule     Rule   `json:"rule"`
	Priority int    `json:"priority" doc:"The highest whose rule matches is chosen"`
	Config   Config `json:"config" doc:"What those clients get; version and revision are the release's"`
}

// ReleaseWritten is a gray release as a write left it.
type ReleaseWritten struct {
	Release

	Warnings []string `json:"warnings,omitempty"`
}

// ReleaseList lists the gray releases of a document, in the order they are tried in.
type ReleaseList struct {
	Revision int64     `json:"revision"`
	Releases []Release `json:"releases" nullable:"false"`
}

// ReleaseEdit changes whom a gray release is for; what is absent stays as it is.
type ReleaseEdit struct {
	Rule     *Rule `json:"rule,omitempty" doc:"In place of the whole rule"`
	Priority *int  `json:"priority,omitempty"`
}
