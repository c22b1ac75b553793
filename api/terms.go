package api

// HeaderDryRun is "true" on the answer to a write that was only tried.
const HeaderDryRun = "Muster-Dry-Run"

// QueryDryRun is the parameter of writes that are only to be tried: the answer
// is what would stand.
const QueryDryRun = "dryRun"
