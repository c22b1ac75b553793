package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/server"
)

// TestEventsEndWithTheRight takes away from somebody, while a stream of his is open, what
// let him open it: he is told nothing that comes later.
func TestEventsEndWithTheRight(t *testing.T) {
	s, tokens := signedIn(t)
	who := server.Authority(s)
	for _, c := range []struct {
		name, token string
		take        func(ctx context.Context) error
	}{
		{"sign-out", "dev", func(ctx context.Context) error { return who.SignOut(ctx, "dev") }},
		{"another role", "reader", func(ctx context.Context) error { return who.EditUser(ctx, "reader", "", []string{"one"}) }},
		{"user rm", "not-prod", func(ctx context.Context) error { return who.DeleteUser(ctx, "not-prod") }},
		{"the rules of a role", "web-1", func(ctx context.Context) error {
			return who.SetRole(ctx, auth.Role{Name: "dev", Rules: []access.Rule{{Kind: access.Naming, Namespace: "*", Group: "*", Verbs: "r", Deny: true}}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, base(s)+api.PathEvents+"?namespace=dev&since=now", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+tokens[c.token])
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewScanner(resp.Body)
			told := func(until string) (text string) {
				t.Helper()
				for lines.Scan() {
					if text += lines.Text() + "\n"; strings.Contains(text, until) && lines.Text() == "" {
						return text
					}
				}
				t.Fatalf("the stream says %q and breaks off: %v", text, lines.Err())
				return ""
			}
			told("event: synced")
			if err := c.take(t.Context()); err != nil {
				t.Fatal(err)
			}
			url := base(s) + "/v1/services/dev/DEFAULT_GROUP/secret-of-" + c.token + "/instances/192.0.2.1:80"
			if status, _, answer := callAs(t, tokens["all"], http.MethodPut, url, "application/json", "{}"); status != http.StatusOK {
				t.Fatalf("PUT %s = %d %s", url, status, answer)
			}
			if text := told("event: end"); strings.Contains(text, "secret-of") || !strings.Contains(text, `"reason":"refused"`) {
				t.Errorf("after that the stream says %q, want that it ends", text)
			}
		})
	}
}

// TestHeldCallIsJudgedAgain takes away the right to documents while a call waits for them.
func TestHeldCallIsJudgedAgain(t *testing.T) {
	s, tokens := signedIn(t)
	who := server.Authority(s)
	for _, c := range []struct {
		name, token, group string
		want               int
		take               func(ctx context.Context) error
	}{
		{"nothing", "all", "g1", http.StatusOK, func(context.Context) error { return nil }},
		{"another role", "one", "g1", http.StatusForbidden, func(ctx context.Context) error { return who.EditUser(ctx, "one", "", []string{"drop"}) }},
		{"sign-out", "dev", "g1", http.StatusUnauthorized, func(ctx context.Context) error { return who.SignOut(ctx, "dev") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := `{"configs":[{"namespace":"dev","group":"` + c.group + `","dataId":"` + c.name[:3] + `"}],"wait":30000}`
			got := make(chan string, 1)
			go func() {
				status, _, answer := callAs(t, tokens[c.token], http.MethodPost, base(s)+api.PathWatch, "application/json", body)
				got <- fmt.Sprint(status, " ", answer)
			}()
			eventually(t, "the call waits", func() bool { return server.Polls(s) == 1 })
			if err := c.take(t.Context()); err != nil {
				t.Fatal(err)
			}
			url := base(s) + "/v1/configs/dev/" + c.group + "/" + c.name[:3]
			if status, _, answer := callAs(t, tokens["all"], http.MethodPut, url, "application/json", `{"content":"x: 1"}`); status != http.StatusOK {
				t.Fatalf("PUT %s = %d %s", url, status, answer)
			}
			if answer := <-got; !strings.HasPrefix(answer, fmt.Sprint(c.want)) || (c.want != http.StatusOK) == strings.Contains(answer, "md5") {
				t.Errorf("once %s was taken the call is answered %s, want %d", c.name, answer, c.want)
			}
		})
	}
}
