package nacos

import (
	"net/http"
	"slices"
)

var (
	ofUser       = query("username", "User").must()
	ofRole       = query("role", "Role").must()
	ofPermission = []Parameter{ofRole,
		query("resource", "namespace:group:kind/name: namespace and group are names, beginnings of such and *, or *; what follows is *, naming/* or config/*").must(),
		query("action", "r, w or rw").must()}
	ofListing = with(ofPageOr, query("search", "accurate, or blur, where * stands for any text"))
	ofUsers   = with(ofListing, query("username", "User; all when absent"))
	ofRoles   = with(ofUsers, query("role", "Role; all when absent"))
	done      = known("What was done, in words")
)

// known is an object that is there where callers have to log in.
func known(description string) answer {
	a := object(description)
	a.plain = []Response{{http.StatusConflict, typeText, "Nobody has to log in at this server, so it knows nobody"}}
	return a
}

// userOps are the calls about users, roles and permissions, which administrators make.
var userOps = []op{
	{"CreateUser", "Make a user without a role", []Parameter{ofUser, query("password", "At least 8 bytes").must()}, done, nothing, administers, withUsers(createUser),
		userAt(post, "")},
	{"CreateAdmin", "Refused: the first start made the administrator", []Parameter{query("password", "Ignored")}, known("Never"), nothing, administers,
		withUsers(createAdmin), userAt(post, "/admin")},
	{"UpdateUser", "Give a user another password; administrators do, and users for themselves", []Parameter{ofUser,
		query("newPassword", "At least 8 bytes").must(), query("password", "The one that goes, of who changes his own")}, done, nothing, anyLogin,
		withUsers(updateUser), userAt(put, "")},
	{"DeleteUser", "End a user who is no administrator, and its sessions", []Parameter{ofUser}, done, nothing, administers, withUsers(deleteUser), userAt(remove, "")},
	{"UserList", "Users; passwords are not told", ofUsers, known("A page of users"), nothing, inspects, withUsers(userList),
		listAt("/users", "/user/list")},
	{"UserNames", "The names of users that hold a text", []Parameter{query("username", "Text; all when absent")}, known("Names"), nothing, inspects,
		withUsers(userNames), listAt("/users/search", "/user/search")},

	{"GrantRole", "Give a user a role, which is made where it is not there", []Parameter{ofRole, ofUser}, done, nothing, administers, withUsers(grantRole),
		writeAt(post, "/roles", "/role")},
	{"WithdrawRole", "Take a role from a user, or from all and end it", []Parameter{ofRole, query("username", "User; all when absent")}, done, nothing, administers,
		withUsers(withdrawRole), writeAt(remove, "/roles", "/role")},
	{"RoleList", "Which users have which roles", ofRoles, known("A page of roles with users"), nothing, inspects, withUsers(roleList),
		listAt("/roles", "/role/list")},
	{"RoleNames", "The roles whose names hold a text", []Parameter{query("role", "Text; all when absent")}, known("Names"), nothing, inspects,
		withUsers(roleNames), listAt("/roles/search", "/role/search")},

	{"AddPermission", "Allow something to a role", ofPermission, done, nothing, administers, withUsers(addPermission), writeAt(post, "/permissions", "/permission")},
	{"DeletePermission", "Allow something to a role no longer", ofPermission, done, nothing, administers, withUsers(deletePermission),
		writeAt(remove, "/permissions", "/permission")},
	{"Permissions", "What is allowed to roles, or, without search and pageNo, whether one role may do one thing", with(ofRoles[:3], query("role", "Role; all when absent"),
		query("resource", "Of one permission"), query("action", "Of one permission")), known("A page of permissions, or whether there is one"), nothing, inspects,
		withUsers(permissions), at(get, "/permissions", auth1)},
	{"PermissionList", "What is allowed to roles", with(ofListing, query("role", "Role; all when absent")), known("A page of permissions"), nothing, inspects,
		withUsers(permissionList), enveloped(wrapped, get, "/permission/list", auth3)},
	{"HasPermission", "Whether something is allowed to a role", ofPermission, known("true or false"), nothing, inspects, withUsers(hasPermission),
		enveloped(wrapped, get, "/permission", auth3)},
}

// userAt are the places of a write of users.
func userAt(method, below string) []place { return writeAt(method, "/users"+below, "/user"+below) }

// writeAt are the places of a write in versions 1 and 3.
func writeAt(method, path1, path3 string) []place {
	return slices.Concat(enveloped(rest, method, path1, auth1), enveloped(wrapped, method, path3, auth3))
}

// listAt are those of a list.
func listAt(path1, path3 string) []place {
	return slices.Concat(at(get, path1, auth1), enveloped(wrapped, get, path3, auth3))
}
