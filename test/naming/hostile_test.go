package naming_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/musterhq/muster/test/strange"
)

// usual are values that calls take.
var usual = map[string]string{
	"serviceName": "hostile", "service": "hostile", "groupName": "DEFAULT_GROUP", "namespaceId": "public", "ns": "public",
	"ip": "192.0.2.1", "port": "80", "clusterName": "DEFAULT", "weight": "1", "enabled": "true", "metadata": `{"a":"b"}`,
	"healthy": "true", "ephemeral": "true", "pageNo": "1", "pageSize": "10", "protectThreshold": "0.5",
	"beat": `{"serviceName":"hostile","ip":"192.0.2.1","port":80}`, "selector": `{"type":"none"}`,
	"checkPort": "80", "useInstancePort4Check": "true", "healthChecker": `{"type":"TCP"}`, "key": "DEFAULT_GROUP@@hostile",
	"clientId": "192.0.2.1:80#true", "entry": "lightBeatEnabled", "value": "true", "customNamespaceId": "hostile",
	"namespaceName": "n", "namespace": "hostile", "namespaceShowName": "n", "instances": `[{"ip":"192.0.2.1","port":80}]`,
	"consistencyType": "ephemeral",
}

// refusals are calls that answer 500 by design: a switch with a bad value, and what
// would change who the servers are.
var refusals = regexp.MustCompile(`/(switches|cluster/lookup|cluster/node/list|cluster/nodes|ops/raft)$`)

// TestStrangeValues asks the calls that are not of configuration.
func TestStrangeValues(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	strange.Run(t, strange.Config{Address: s.HTTP, Usual: usual, Refusals: refusals, Least: 5000, Log: s.Log,
		Asks: func(path string) bool { return strings.HasPrefix(path, "/nacos/") && !strings.Contains(path, "/cs/") }})
}
