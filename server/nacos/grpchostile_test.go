package nacos_test

import (
	"testing"

	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// A page that is far behind the last one is empty, whatever its number.
func TestPagesOfAnyNumber(t *testing.T) {
	_, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{})
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	for q, want := range map[string]int{
		`{"pageNo":0,"pageSize":10}`:                   1,
		`{"pageNo":1,"pageSize":9223372036854775807}`:  1,
		`{"pageNo":2,"pageSize":9223372036854775807}`:  0,
		`{"pageNo":4611686018427387905,"pageSize":2}`:  0,
		`{"pageNo":9223372036854775807,"pageSize":0}`:  0,
		`{"pageNo":99999999999999999999,"pageSize":1}`: 0,
	} {
		var page struct {
			Count int
			Names []string `json:"serviceNames"`
		}
		if must(t, c, "ServiceListRequest", "ServiceListResponse", []byte(q), &page); page.Count != 1 || len(page.Names) != want {
			t.Errorf("%s = %+v, want %d of 1", q, page, want)
		}
	}
}
