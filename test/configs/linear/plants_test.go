package linear_test

import (
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
)

// op is an operation that takes from begin to end; end 0 is never.
func op(begin, end int64, in input, out output) porcupine.Operation {
	if end == 0 {
		end = math.MaxInt64
	}
	return porcupine.Operation{ClientId: int(begin), Input: in, Output: out, Call: begin, Return: end}
}

func put(content string) input    { return input{kind: publish, content: content} }
func over(was, is string) input   { return input{kind: publishIfMD5, expected: was, content: is} }
func match(was, is string) input  { return input{kind: publishMatch, expected: was, content: is} }
func removeOnly(was string) input { return input{kind: removeMatch, expected: was} }

var (
	look    = input{kind: get}
	drop    = input{kind: remove}
	ok      = output{}
	none    = output{absent: true}
	refused = output{refused: true}
	unknown = output{unknown: true}
)

func saw(content string) output { return output{content: content} }

func TestCheckerTellsLegalFromIllegal(t *testing.T) {
	for _, test := range []struct {
		name    string
		legal   bool
		history []porcupine.Operation
	}{
		{"nothing was there", true, []porcupine.Operation{op(1, 2, look, none)}},
		{"what was published is read", true, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 4, look, saw("a"))}},
		{"of two at once either is read", true, []porcupine.Operation{op(1, 5, put("a"), ok), op(2, 4, put("b"), ok), op(6, 7, look, saw("a"))}},
		{"a write is lost", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 4, put("b"), ok), op(5, 6, look, saw("a"))}},
		{"the only write is lost", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 4, look, none)}},
		{"a delete is lost", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 4, drop, ok), op(5, 6, look, saw("a"))}},
		{"a read of what nobody wrote", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 4, look, saw("b"))}},
		{"reads go back", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 9, put("b"), ok), op(4, 5, look, saw("b")), op(6, 7, look, saw("a"))}},
		{"what was cut off is done", true, []porcupine.Operation{op(1, 0, put("a"), unknown), op(3, 4, look, saw("a"))}},
		{"what was cut off is not done", true, []porcupine.Operation{op(1, 0, put("a"), unknown), op(3, 4, look, none)}},
		{"what was cut off is done late", true, []porcupine.Operation{op(1, 0, put("a"), unknown), op(3, 4, look, none), op(5, 6, look, saw("a"))}},
		{"what was cut off is done and lost", false, []porcupine.Operation{op(1, 0, put("a"), unknown), op(3, 4, look, saw("a")), op(5, 6, look, none)}},
		{"two win over one content", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 9, over("a", "b"), ok), op(3, 9, over("a", "c"), ok)}},
		{"one wins over one content", true, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 9, over("a", "b"), ok), op(3, 9, over("a", "c"), refused)}},
		{"a loser without a winner", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 4, over("a", "b"), refused)}},
		{"casMd5 where there is no document", true, []porcupine.Operation{op(1, 2, over("a", "b"), ok), op(3, 4, look, saw("b"))}},
		{"If-Match where there is no document", false, []porcupine.Operation{op(1, 2, match("a", "b"), ok)}},
		{"create over a document", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 4, input{kind: create, content: "b"}, ok)}},
		{"delete of another content", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 4, removeOnly("b"), ok)}},
		{"delete of what is there finds none", false, []porcupine.Operation{op(1, 2, put("a"), ok), op(3, 4, removeOnly("a"), none)}},
		{"delete of none finds one", false, []porcupine.Operation{op(1, 2, removeOnly("a"), ok)}},
	} {
		if got := legal(test.history); got != test.legal {
			t.Errorf("%s: legal = %t:\n%s", test.name, got, written(test.history))
		}
	}
}

// A write that was read is taken out of what a real server was seen to do.
func TestCheckerMissesAWriteThatWasTakenOut(t *testing.T) {
	w := newWorld(t, newTransport())
	for round := range 4 {
		w.round(round, false)
	}
	taken := 0
	for _, history := range w.histories {
		if !legal(history) {
			t.Fatalf("the history is illegal as it is:\n%s", written(history))
		}
		for i, o := range history {
			in := o.Input.(input)
			wasRead := slices.ContainsFunc(history, func(r porcupine.Operation) bool {
				return r.Input.(input).kind == get && r.Output.(output).content == in.content
			})
			if in.content == "" || !wasRead {
				continue
			}
			taken++
			if without := slices.Delete(slices.Clone(history), i, i+1); legal(without) {
				t.Fatalf("the history is legal without %s:\n%s", document.DescribeOperation(o.Input, o.Output), written(history))
			}
		}
	}
	if taken == 0 {
		t.Error("no write was read")
	}
	t.Logf("%d histories without one of their writes are illegal, each of them", taken)
}

// liar answers some publishes as done and keeps them from the server.
type liar struct {
	http.RoundTripper

	publishes, lies atomic.Int64
}

// CloseIdleConnections closes those of the connections below.
func (l *liar) CloseIdleConnections() {
	(&http.Client{Transport: l.RoundTripper}).CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (l *liar) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPost || req.Header.Get("casMd5") != "" || l.publishes.Add(1)%10 != 0 {
		return l.RoundTripper.RoundTrip(req)
	}
	l.lies.Add(1)
	_ = req.Body.Close()
	return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{}, Request: req,
		Body: io.NopCloser(strings.NewReader("true"))}, nil
}

func TestCheckerFindsWritesThatAreLost(t *testing.T) {
	lying := &liar{RoundTripper: newTransport()}
	w := newWorld(t, lying)
	const enough = 10
	for round := 0; lying.lies.Load() < enough; round++ {
		w.round(round, false)
	}
	w.readAll()
	illegal := 0
	for _, history := range w.histories {
		if !legal(history) {
			illegal++
		}
	}
	t.Logf("%d writes were lost, %d of %d histories are illegal", lying.lies.Load(), illegal, len(w.histories))
	if illegal == 0 {
		t.Errorf("%d writes were lost, and every history was found legal", lying.lies.Load())
	}
}
