package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/server"
)

// TestUsersByNacos makes users, roles and permissions as scripts for Nacos do, and looks
// at what they are to us.
func TestUsersByNacos(t *testing.T) {
	dir := t.TempDir()
	s, admin, _ := guarded(t, dir)
	root := sessionOf(t, s, "admin", adminSecret(t, dir))
	const v1, v3 = "/nacos/v1/auth", "/nacos/v3/auth"
	ask := func(token, line string, status int, want string) {
		t.Helper()
		method, target, _ := strings.Cut(line, " ")
		target, body, _ := strings.Cut(target, " ")
		got, _, answer := callAs(t, token, method, base(s)+target, aForm, body)
		if got != status || !strings.Contains(answer, want) {
			t.Errorf("%s = %d %q, want %d with %q", line, got, cut(answer), status, want)
		}
	}
	const ann = "username=ann&password=long+enough"
	for _, c := range []struct {
		line   string
		status int
		want   string
	}{
		{"POST " + v1 + "/users " + ann, 200, `{"code":200,"message":null,"data":"create user ok!"}`},
		{"POST " + v1 + "/users " + ann, 400, "caused: user 'ann' already exist!;"},
		{"POST " + v3 + "/user " + ann, 400, `"data":"user 'ann' already exist!"`},
		{"POST " + v3 + "/user username=bob&password=long+enough", 200, `{"code":0,"message":"success","data":"create user ok!"}`},
		{"POST " + v1 + "/users username=eve&password=short", 400, "8 to 1024 bytes"},
		{"POST " + v1 + "/users username=e%20ve&password=long+enough", 400, "the name of a user"},
		{"POST " + v1 + "/users username=eve", 400, "password"},
		{"POST " + v1 + "/users/admin password=long+enough", 200, `{"code":409,`},
		{"POST " + v3 + "/user/admin", 409, "have admin user"},
		{"GET " + v1 + "/users?pageNo=1&pageSize=2", 200, `{"totalCount":3,"pageNumber":1,"pagesAvailable":2,"pageItems":[{"username":"admin","password":""},{"username":"ann","password":""}]}`},
		{"GET " + v1 + "/users?search=accurate&username=an&pageNo=1&pageSize=9", 200, `"totalCount":0`},
		{"GET " + v1 + "/users?search=blur&username=*n*&pageNo=1&pageSize=9", 200, `"totalCount":2`},
		{"GET " + v1 + "/users?search=blur&username=a*n&pageNo=1&pageSize=9", 200, `"totalCount":2`},
		{"GET " + v1 + "/users?search=blur&username=b*&pageNo=1&pageSize=9", 200, `"pageItems":[{"username":"bob","password":""}]`},
		{"GET " + v1 + "/users/search?username=nn", 200, `["ann"]`},
		{"GET " + v3 + "/user/search?username=b", 200, `"data":["bob"]`},
		{"GET " + v3 + "/user/list?pageNo=1&pageSize=9&search=accurate&username=bob", 200, `"data":{"totalCount":1,`},

		{"POST " + v1 + "/roles role=ROLE_DEV&username=ann", 200, `"data":"add role ok!"`},
		{"POST " + v3 + "/role role=ROLE_DEV&username=bob", 200, `"data":"add role ok!"`},
		{"POST " + v1 + "/roles role=reader&username=bob", 200, `"data":"add role ok!"`},
		{"POST " + v1 + "/roles role=ROLE_ADMIN&username=ann", 400, "not permitted to create"},
		{"POST " + v1 + "/roles role=admin&username=ann", 400, "not permitted to create"},
		{"POST " + v1 + "/roles role=ROLE_DEV&username=nobody", 400, "caused: user 'nobody' not found!;"},
		{"GET " + v1 + "/roles?pageNo=1&pageSize=9", 200, `"pageItems":[{"role":"ROLE_ADMIN","username":"admin"},{"role":"ROLE_DEV","username":"ann"},{"role":"ROLE_DEV","username":"bob"},{"role":"reader","username":"bob"}]`},
		{"GET " + v3 + "/role/list?pageNo=1&pageSize=9&search=blur&role=ROLE_D*&username=b*", 200, `"pageItems":[{"role":"ROLE_DEV","username":"bob"}]`},
		{"GET " + v1 + "/roles/search?role=DE", 200, `["ROLE_DEV"]`},

		{"POST " + v1 + "/permissions role=ROLE_DEV&action=rw&resource=dev:*:*", 200, `"data":"add permission ok!"`},
		{"POST " + v1 + "/permissions role=ROLE_DEV&action=rw&resource=dev:*:*", 200, `"data":"add permission ok!"`},
		{"POST " + v3 + "/permission role=ROLE_DEV&action=r&resource=:app:config/*", 200, `"data":"add permission ok!"`},
		{"POST " + v1 + "/permissions role=ROLE_DEV&action=r&resource=dev:*:config/app.yml", 400, "rights are of whole groups"},
		{"POST " + v3 + "/permission role=ROLE_DEV&action=r&resource=dev%7Cprod:*:*", 400, "is neither a name nor"},
		{"POST " + v1 + "/permissions role=ROLE_NONE&action=r&resource=dev:*:*", 400, "caused: role ROLE_NONE not found!;"},
		{"POST " + v1 + "/permissions role=ROLE_ADMIN&action=r&resource=dev:*:*", 400, "built in"},
		{"GET " + v1 + "/permissions?search=accurate&role=ROLE_DEV&pageNo=1&pageSize=9", 200, `"pageItems":[{"role":"ROLE_DEV","resource":"dev:*:*","action":"rw"},{"role":"ROLE_DEV","resource":"public:app:config/*","action":"r"}]`},
		{"GET " + v1 + "/permissions?pageNo=1&pageSize=9", 200, `"totalCount":2`},
		{"GET " + v3 + "/permission/list?pageNo=1&pageSize=9&role=other", 200, `"totalCount":0`},
		{"GET " + v1 + "/permissions?role=ROLE_DEV&resource=dev:*:*&action=rw", 200, `{"code":200,"message":null,"data":true}`},
		{"GET " + v3 + "/permission?role=ROLE_DEV&resource=dev:*:*&action=r", 200, `"data":false`},
	} {
		ask(root, c.line, c.status, c.want)
	}

	// What they may is what was said, and who is no administrator changes nothing of it.
	as := func(user string) string { return sessionOf(t, s, user, "long enough") }
	annToken := as("ann")
	ask(annToken, "POST /nacos/v1/cs/configs tenant=dev&group=g&dataId=a&content=x", 200, "true")
	ask(annToken, "POST /nacos/v1/cs/configs tenant=prod&group=g&dataId=a&content=x", 403, "authorization failed!")
	ask(annToken, "POST /nacos/v1/cs/configs group=app&dataId=a&content=x", 403, "authorization failed!")
	ask(annToken, "GET /nacos/v1/cs/configs?group=app&dataId=a", 404, "")
	for _, line := range []string{"POST " + v1 + "/users username=x&password=long+enough", "DELETE " + v1 + "/users?username=bob", "GET " + v1 + "/users?pageNo=1&pageSize=1",
		"PUT " + v1 + "/users username=bob&newPassword=another+one", "POST " + v1 + "/roles role=R&username=ann", "DELETE " + v1 + "/roles?role=ROLE_DEV",
		"POST " + v1 + "/permissions role=ROLE_DEV&action=rw&resource=*:*:*", "GET " + v3 + "/permission/list"} {
		ask(annToken, line, 403, "Code: 403, Message: authorization failed!")
		ask("", line, 403, "Code: 401")
	}

	ask(annToken, "PUT "+v1+"/users username=bob&newPassword=another+one&password=long+enough", 403, "Code: 403, Message: authorization failed!")

	// Who changes his own password shows the one that goes, and every session of his ends.
	ask(annToken, "PUT "+v1+"/users username=ann&newPassword=another+one", 403, "has to be shown")
	ask(annToken, "PUT "+v1+"/users username=ann&newPassword=another+one&password=wrong+one", 403, "has to be shown")
	ask(annToken, "PUT "+v3+"/user username=ann&newPassword=another+one&password=long+enough", 200, `"data":"update user ok!"`)
	ask(annToken, "GET /nacos/v1/cs/configs?tenant=dev&group=g&dataId=a", 403, "token invalid!")
	ask(root, "PUT "+v1+"/users username=nobody&newPassword=another+one", 400, "caused: user nobody not exist!;")
	ask(root, "PUT "+v1+"/users username=ann&newPassword=long+enough", 200, "update user ok!")

	// What is taken back counts at once.
	annToken = as("ann")
	const read = "GET /nacos/v1/cs/configs?tenant=dev&group=g&dataId=a"
	ask(annToken, read, 200, "x")
	ask(root, "DELETE "+v1+"/permissions?role=ROLE_DEV&action=rw&resource=dev:*:*", 200, "delete permission ok!")
	ask(root, "DELETE "+v1+"/permissions?role=ROLE_DEV&action=rw&resource=dev:*:*", 200, "delete permission ok!")
	ask(annToken, read, 403, "no rule allows it")
	if err := admin.PutRole(t.Context(), "ROLE_DEV", api.RoleSpec{Rules: []api.AccessRule{{Kind: "*", Namespace: "dev", Group: "*", Verbs: "r"}}}); err != nil {
		t.Fatal(err)
	}
	ask(annToken, read, 200, "x")
	ask(root, "DELETE "+v3+"/permission?role=ROLE_DEV&action=r&resource=dev:*:*", 200, "delete permission ok!")
	ask(annToken, read, 403, "no rule allows it")
	ask(root, "DELETE "+v1+"/roles?role=ROLE_DEV&username=ann", 200, "delete role of user ann ok!")
	ask(root, "DELETE "+v1+"/roles?role=ROLE_DEV", 200, "delete role ok!")
	ask(root, "DELETE "+v1+"/roles?role=ROLE_ADMIN&username=admin", 400, "not permitted to delete")
	ask(root, "GET "+v1+"/roles/search?role=ROLE_", 200, `["ROLE_ADMIN"]`)
	ask(root, "DELETE "+v1+"/users?username=admin", 400, "caused: cannot delete admin: admin;")
	ask(root, "DELETE "+v1+"/users?username=ann", 200, "delete user ok!")
	ask(root, "DELETE "+v1+"/users?username=ann", 200, "delete user ok!")
	ask(annToken, read, 403, "token invalid!")
	if users, err := admin.Users(t.Context()); err != nil || len(users.Users) != 2 || fmt.Sprint(users.Users[1].Roles) != "["+access.RoleReader+"]" {
		t.Errorf("Users = %+v, %v, want admin and bob, who reads", users.Users, err)
	}
	var about []string
	for _, r := range recorded(t, dir) {
		if strings.HasPrefix(r.Op, "nacosGrantRole") || strings.HasPrefix(r.Op, "nacosAddPermission") && r.Status == http.StatusOK {
			about = append(about, r.Who+" "+r.Name+" "+r.Item)
		}
	}
	if got := strings.Join(about, ", "); !strings.HasPrefix(got, "admin ann ROLE_DEV, ") || !strings.Contains(got, "admin ROLE_DEV rw dev:*:*") {
		t.Errorf("recorded %q", got)
	}
}

// TestUsersWhereNobodyLogsIn asks for users at a server that knows none.
func TestUsersWhereNobodyLogsIn(t *testing.T) {
	s := running(t)
	for path, want := range map[string]int{"/nacos/v1/auth/users?pageNo=1&pageSize=1": http.StatusConflict, "/nacos/v3/auth/role/list": http.StatusConflict} {
		if status, answer := get(t, base(s)+path); status != want || !strings.Contains(answer, "nobody has to log in") {
			t.Errorf("GET %s = %d %q, want %d and why", path, status, answer, want)
		}
	}
}

// sessionOf returns the token of who logs in as a client of Nacos.
func sessionOf(t testing.TB, s *server.Server, user, password string) string {
	t.Helper()
	form := url.Values{"username": {user}, "password": {password}}
	status, header, answer := callAs(t, "", http.MethodPost, base(s)+"/nacos/v1/auth/users/login", aForm, form.Encode())
	if status != http.StatusOK {
		t.Fatalf("login of %s = %d %s", user, status, answer)
	}
	return strings.TrimPrefix(header.Get("Authorization"), "Bearer ")
}
