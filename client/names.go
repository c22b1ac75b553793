package client

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
)

// Name names a service or a configuration document.
type Name struct {
	Namespace string // empty means public
	Group     string // empty means DEFAULT_GROUP
	Name      string // the service's name, or the document's data id
}

// WithDefaults returns n with namespace and group spelled out.
func (n Name) WithDefaults() Name {
	n.Namespace = cmp.Or(n.Namespace, "public")
	n.Group = cmp.Or(n.Group, "DEFAULT_GROUP")
	return n
}

// String returns namespace/group/name.
func (n Name) String() string {
	n = n.WithDefaults()
	return n.Namespace + "/" + n.Group + "/" + n.Name
}

// Query selects a page of a list.
type Query struct {
	Namespace string // empty means every namespace
	Group     string // empty means every group
	Search    string // part of a name; empty means all
	Page      int    // from 1; 0 means the first
	Size      int    // 0 leaves it to the server
}

func (q Query) values() url.Values {
	v := url.Values{}
	set(v, "namespace", q.Namespace)
	set(v, "group", q.Group)
	set(v, "search", q.Search)
	setInt(v, "page", q.Page)
	setInt(v, "size", q.Size)
	return v
}

func set(v url.Values, key, value string) {
	if value != "" {
		v.Set(key, value)
	}
}

func setInt(v url.Values, key string, value int) {
	if value != 0 {
		v.Set(key, strconv.Itoa(value))
	}
}

// fill returns an api path with its variables, in order, replaced by the
// escaped values.
func fill(path string, values ...string) string {
	for _, value := range values {
		from, to := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		path = path[:from] + escape(value) + path[to+1:]
	}
	return path
}

// escape returns value as one path segment. The dot segments, which clients
// and proxies would resolve, are escaped too.
func escape(value string) string {
	if strings.Trim(value, ".") == "" {
		return strings.ReplaceAll(value, ".", "%2E")
	}
	// A value may hold anything but what fill looks for, which is escaped.
	return url.PathEscape(value)
}
