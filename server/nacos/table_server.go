package nacos

import "net/http"

var serverOps = []op{
	{"Liveness", "Whether this server runs", nil, text("The text OK"), nothing, (*Handler).liveness,
		at(get, "/health/liveness", console1)},
	{"Readiness", "Whether this server takes calls", nil,
		text("The text OK", Response{http.StatusInternalServerError, typeText, "What is not ready"}), nothing,
		(*Handler).readiness, at(get, "/health/readiness", console1)},
	{"State", "Settings of this server, as texts", nil, object("Texts by name"), nothing, (*Handler).state,
		at(get, "/server/state", console1)},
}
