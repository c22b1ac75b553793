package linear_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// kind is what is done to a document.
type kind int

const (
	publish      kind = iota // whatever stands
	publishIfMD5             // over a content, or where there is no document: casMd5
	publishMatch             // over a content: If-Match
	create                   // where there is no document: If-None-Match: *
	remove                   // whatever stands
	removeMatch              // that content: If-Match
	get
	kinds
)

var words = [kinds]string{"publish", "publish casMd5", "publish If-Match", "create", "delete", "delete If-Match", "get"}

// input is what a client asked for. A content is published once at most, so that a
// read tells whose it is.
type input struct {
	kind
	content  string // to publish
	expected string // the content that a condition names
}

// output is what a client was told.
type output struct {
	unknown bool   // nothing: it was cut off, or told that it may be done
	refused bool   // the condition did not hold
	absent  bool   // there was no document
	content string // of a get
}

// document is a document as it ought to behave; its state is its content, empty when
// there is none.
var document = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) { return step(state.(string), in.(input), out.(output)) },
	DescribeOperation: func(in, out any) string {
		i, o := in.(input), out.(output)
		return strings.TrimSpace(fmt.Sprintf("%s %s %s", words[i.kind], i.content, i.over())) + ": " + o.String()
	},
}

// step reports whether an answer fits a state, and returns the next one.
func step(was string, in input, out output) (fits bool, is string) {
	holds := true // the condition
	switch in.kind {
	case publishIfMD5:
		holds = was == "" || was == in.expected
	case publishMatch:
		holds = was == in.expected
	case create:
		holds = was == ""
	case removeMatch:
		holds = was == "" || was == in.expected
	case get:
		return out.content == was, was
	}
	is = was
	if holds {
		is = in.content // of a delete: none
	}
	switch {
	case out.unknown:
		return true, is
	case out.absent:
		return was == "", is
	case in.kind == removeMatch && !out.refused && was == "": // it would say that there is none
		return false, is
	}
	return holds != out.refused, is
}

func (i input) over() string {
	if i.expected == "" {
		return ""
	}
	return "over " + i.expected
}

func (o output) String() string {
	switch {
	case o.unknown:
		return "unknown"
	case o.refused:
		return "refused"
	case o.absent:
		return "there is none"
	}
	return "ok " + o.content
}

// legal reports whether a history can have happened in one order.
func legal(history []porcupine.Operation) bool {
	return porcupine.CheckOperationsTimeout(document, history, time.Minute) == porcupine.Ok
}

// written returns a history as lines.
func written(history []porcupine.Operation) string {
	history = slices.Clone(history)
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var text strings.Builder
	for _, o := range history {
		end := "never"
		if o.Return != math.MaxInt64 {
			end = fmt.Sprintf("%.4f s", time.Duration(o.Return).Seconds())
		}
		fmt.Fprintf(&text, "  client %d, %.4f s to %s: %s\n", o.ClientId, time.Duration(o.Call).Seconds(), end,
			document.DescribeOperation(o.Input, o.Output))
	}
	return text.String()
}
