package nacos_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
	"github.com/musterhq/muster/server/nacos"
)

// judge takes all that begins with a brace for JSON.
type judge struct{}

func (judge) Check(kind string, content []byte, _ string) error {
	if kind == "json" && !strings.HasPrefix(string(content), "{") {
		return errors.New("line 1 begins with no brace")
	}
	return nil
}

func (judge) CheckSchema(string) error { return nil }

func TestContentsAreJudged(t *testing.T) {
	store := configtest.NewStore()
	center := config.New(store, config.Config{Judge: judge{}})
	w := newWorld(t, func(c *nacos.Config) { c.Configs, c.Waiters = center, wakePolls(t, store.View()) })
	server := w.serve(t)
	ask("POST "+doc+"&type=json content=no", "200", "=true", ":Muster-Warning: public/g/d: content is no valid json: line 1 begins with no brace").run(t, server.URL)
	if _, err := center.SetPolicy(t.Context(), config.Policy{Namespace: "public", Validate: config.ValidateRefuse}, -1); err != nil {
		t.Fatal(err)
	}
	for _, s := range []step{
		ask("POST "+doc+"&type=json content=neither", "400", "=caused: content is no valid json: line 1 begins with no brace;"),
		ask("POST /nacos/v2/cs/config?dataId=d&group=g&type=json content=neither", "400",
			`={"code":20002,"message":"parameter validate error","data":"content is no valid json: line 1 begins with no brace"}`),
		ask("POST "+doc+"&type=json content=neither", "400").with("betaIps: 192.0.2.1"),
		ask("GET "+doc, "200", "=no"),
		ask("POST "+doc+"&type=json content={}", "200", "=true", ":Muster-Warning: "),
	} {
		s.run(t, server.URL)
	}
}
