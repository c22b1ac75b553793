package table_test

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/test/strange"
)

// TestStrangeValues asks the calls of configuration.
func TestStrangeValues(t *testing.T) {
	t.Parallel()
	s := start(t)
	strange.Run(t, strange.Config{Address: s.HTTP, Least: 5000, Log: s.Log,
		Asks: func(path string) bool { return strings.HasPrefix(path, "/nacos/") && strings.Contains(path, "/cs/") },
		Usual: map[string]string{
			"dataId": "hostile", "group": "g", "groupName": "g", "tenant": "public", "namespaceId": "public", "content": "hello",
			"pageNo": "1", "pageSize": "10", "nid": "1", "id": "1", "ids": "1", "ip": "192.0.2.1", "Listening-Configs": "hostile\x02g\x02\x01",
			"logName": "a", "logLevel": "b", "quota": "0", "maxSize": "0", "grayPriority": "1", "policy": "SKIP",
		}})
}
