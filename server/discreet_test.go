package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/musterhq/muster/api"
)

// TestErrorsRepeatNoSecrets sends secrets of another type than they have: a refusal repeats
// what else is wrong, and not them.
func TestErrorsRepeatNoSecrets(t *testing.T) {
	s, tokens := signedIn(t)
	const secret = "87654321"
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, api.PathLogin, `{"user":5,"password":` + secret + `}`},
		{http.MethodPost, api.PathOIDC, `{"redirect":5,"code":` + secret + `,"verifier":` + secret + `,"nonce":` + secret + `}`},
		{http.MethodPut, "/v1/auth/users/ann", `{"roles":5,"password":` + secret + `}`},
		{http.MethodPut, "/v1/auth/users/ann/password", `{"other":5,"current":` + secret + `,"password":` + secret + `}`},
		{http.MethodPost, "/v1/configs-set", `{"edits":[{"group":5,"content":` + secret + `}]}`},
		{http.MethodPut, "/v1/services/dev/g/s/clusters/c", `{"check":{"kind":5,"password":` + secret + `,"headers":{"Authorization":` + secret + `}}}`},
	} {
		status, _, answer := callAs(t, tokens["admin"], c.method, base(s)+c.path, "application/json", c.body)
		if status != http.StatusUnprocessableEntity || strings.Contains(answer, secret) || !strings.Contains(answer, "password") && !strings.Contains(answer, "code") && !strings.Contains(answer, "content") {
			t.Errorf("%s %s = %d %s, want 422, without the secrets", c.method, c.path, status, answer)
		}
	}
}
