package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/api"
)

// write answers v as JSON.
func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, "the answer cannot be written")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}

// fail answers a Problem.
func fail(w http.ResponseWriter, status int, detail string, fields ...api.ProblemField) {
	body, err := json.Marshal(api.Problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields})
	if err != nil {
		body = nil // text and numbers: it cannot fail
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// readBody returns the body, which is bounded, or answers why it cannot be had.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		return body, true
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		fail(w, http.StatusRequestEntityTooLarge, "the body is longer than "+strconv.Itoa(maxLocalBody)+" bytes")
	} else {
		fail(w, http.StatusBadRequest, "the body cannot be read")
	}
	return nil, false
}

// query returns the parameters of a call, each at most once and none but the
// named ones: a word that is misspelt must not select everything. It answers
// what is wrong.
func query(w http.ResponseWriter, r *http.Request, names ...string) (url.Values, bool) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		fail(w, http.StatusBadRequest, "the query cannot be read")
		return nil, false
	}
	for name, all := range values {
		var problem string
		switch {
		case !slices.Contains(names, name):
			problem = "is no parameter of this call"
		case len(all) > 1:
			problem = "is given more than once"
		default:
			continue
		}
		fail(w, http.StatusBadRequest, strconv.Quote(name)+" "+problem, api.ProblemField{Message: problem, Location: "query." + name})
		return nil, false
	}
	return values, true
}

// maxWait is the longest that a call is held.
const maxWait = 5 * time.Minute

// waitOf reads how long a call may be held: a duration such as 30s, or seconds.
func waitOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		n, numberErr := strconv.ParseUint(text, 10, 16)
		if numberErr != nil {
			return 0, fmt.Errorf("%q is no duration such as 30s", text)
		}
		d = time.Duration(n) * time.Second
	}
	if d < 0 || d > maxWait {
		return 0, fmt.Errorf("%q is not within 0s and %v", text, maxWait)
	}
	return d, nil
}

// matches reports whether an If-None-Match header names tag (RFC 9110, 13.1.2).
func matches(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return false
}
