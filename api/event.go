package api

// PathEvents streams what changes, as server-sent events.
const PathEvents = "/v1/events"

// Kinds of events, each with what its data is. An event with an id ends what
// stands together: whoever has it all needs nothing before that id again.
const (
	EventReset   = "reset"   // forget all; what is there follows, up to EventSynced
	EventService = "service" // a service is new, or changed
	EventRemoved = "removed" // a service is gone
	EventSynced  = "synced"  // all up to here is told, from here on what changes
	EventEnd     = "end"     // the server ends the stream
)

// ServiceEvent is the data of a service that is new or changed.
type ServiceEvent struct {
	Revision  int64      `json:"revision" doc:"Revision at which it stands like this"`
	Service   Service    `json:"service"`
	Whole     bool       `json:"whole" doc:"Whether instances are all that the service has; otherwise those that are new or changed"`
	Instances []Instance `json:"instances" nullable:"false"`
	Gone      []string   `json:"gone,omitempty" doc:"Endpoints of the instances that are gone"`
}

// RemovedEvent is the data of a service that is gone.
type RemovedEvent struct {
	ServiceRef

	Revision int64 `json:"revision" doc:"Revision at which it is gone"`
}

// SyncEvent is the data of the events reset and synced.
type SyncEvent struct {
	Revision int64  `json:"revision" doc:"Revision of what follows, or of what was told"`
	Reason   string `json:"reason,omitempty" doc:"Why a stream begins with everything"`
}

// EndEvent is the data of the last event of a stream that the server ends.
type EndEvent struct {
	Reason string `json:"reason" doc:"stopping, behind: the reader did not keep up, or refused: it may not read this any more"`
	Resume string `json:"resume,omitempty" doc:"The id to go on from, as since; empty where the stream ended before it had one"`
}
