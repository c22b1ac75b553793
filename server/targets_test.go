package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server"
)

// pieces notes how much is written at once.
type pieces struct {
	bytes.Buffer

	largest int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.largest = max(p.largest, len(b))
	return p.Buffer.Write(b)
}

// The targets of a large roll are never held all at once.
func TestTargetsAreWrittenInPieces(t *testing.T) {
	const many = 2000
	var changes []registry.Change
	for n := range many {
		k := registry.InstanceKey{Service: registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: fmt.Sprint("s", n%100)},
			Endpoint: registry.Endpoint{Host: fmt.Sprintf("10.0.%d.%d", n/200, n%200), Port: 80}}
		r := &registry.Registration{Key: k, Weight: 1, Enabled: true, Healthy: true}
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: r, Revision: 1})
	}
	var out pieces
	if err := server.WriteTargets(&out, registry.Empty(registry.Policy{}).Apply(1, changes)); err != nil {
		t.Fatal(err)
	}
	var groups []api.TargetGroup
	if err := json.Unmarshal(out.Bytes(), &groups); err != nil || len(groups) != many || out.largest > 64<<10 {
		t.Errorf("%d targets in pieces of at most %d bytes: %v, want %d of at most 64 KiB", len(groups), out.largest, err, many)
	}
}
