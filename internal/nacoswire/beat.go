package nacoswire

import "encoding/json"

// Beat is an instance as a full beat describes it; other keys are ignored.
type Beat struct {
	ServiceName Scalar          `json:"serviceName"`
	IP          Scalar          `json:"ip"`
	Port        Scalar          `json:"port"`
	Cluster     Scalar          `json:"cluster"`
	Weight      Scalar          `json:"weight"`
	Metadata    json.RawMessage `json:"metadata"`
}

// Codes of the answer to a beat.
const (
	BeatTaken   = 10200
	BeatUnknown = 20404 // asks the client to register
)

// BeatAnswer holds numbers throughout: clients fail on a text.
type BeatAnswer struct {
	Interval int64 `json:"clientBeatInterval"` // milliseconds
	Code     int   `json:"code"`
	Light    bool  `json:"lightBeatEnabled"`
}
