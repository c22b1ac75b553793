package nacos

import (
	"net/http"
	"strings"

	"github.com/musterhq/muster/server/nacos/switches"
)

// gated are the surfaces that switches shut.
var gated = map[*surface]bool{naming1: true, naming2: true, naming3: true, namingClient3: true, consoleNS3: true}

// gate keeps naming calls out when an operator's switches say so. Calls that
// need no roll pass: switches are among them, so that what was shut can be
// opened, and the state of the server, which clients ask for.
func (h *Handler) gate(c *call) error {
	if c.needs != naming || !gated[c.on] {
		return nil
	}
	set := h.switches.Current()
	if status := set.Limited(c.r.URL.Path); status != 0 {
		return &refusal{status: status, by: byCheck}
	}
	if strings.HasPrefix(c.agent(), "Nacos-Server") {
		return nil
	}
	return h.open(c.r.Method == http.MethodGet || c.r.Method == http.MethodHead)
}

// open returns why naming calls that read, or else write, are kept out, nil: they are not.
func (h *Handler) open(reads bool) error {
	switch state := h.switches.Current().Status(); {
	case state == "UP", state == "READ_ONLY" && reads, state == "WRITE_ONLY" && !reads:
		return nil
	default:
		return notNow("server is %snow, please try again later!", state) // sic
	}
}

// switchPushes hands on the switches that are the pusher's, and has those who push over
// gRPC look at theirs.
func (h *Handler) switchPushes(set *switches.Set) {
	h.tells.wake()
	h.cfg.Pusher.SetEnabled(set.PushEnabled)
	for client, version := range map[string]string{"java": set.PushJavaVersion, "go": set.PushGoVersion,
		"python": set.PushPythonVersion, "c": set.PushCVersion, "csharp": set.PushCSharpVersion} {
		if err := h.cfg.Pusher.SetVersion(client, version); err != nil {
			h.log.Warn("a version to push to is not taken", "client", client, "version", version, "err", err)
		}
	}
}
