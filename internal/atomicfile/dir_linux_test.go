package atomicfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/musterhq/muster/internal/atomicfile"
	"github.com/musterhq/muster/internal/mountspace"
)

// stranger is a user that is neither root nor who runs the tests.
const stranger = 65533

// mount mounts a small tmpfs at a new directory.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	mountspace.Mount(t, dir, options)
	return dir
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// give gives a file to another user, where this one may.
func give(t *testing.T, path string) bool {
	t.Helper()
	return os.Lchown(path, stranger, stranger) == nil
}

func TestOpenDirLinks(t *testing.T) {
	at := func(name string) string { return filepath.Join(t.TempDir(), name) }
	base := at("base")
	in := func(name string) string { return filepath.Join(base, name) }
	must(t, os.MkdirAll(in("real/deep"), 0o700), os.Symlink("real", in("own")), os.Symlink(in("real/deep"), in("absolute")),
		os.Symlink("own/../own/deep", in("chain")), os.Symlink("loop", in("loop")), os.WriteFile(in("file"), nil, 0o600),
		os.Mkdir(in("everybodys"), 0o700), os.Symlink("../real", in("everybodys/link")), os.Chmod(in("everybodys"), 0o777),
		os.Mkdir(in("sticky"), 0o700), os.Symlink("../real", in("sticky/link")), os.Chmod(in("sticky"), 0o777|os.ModeSticky),
		os.Symlink("real", in("strangers")))
	given := give(t, in("strangers"))
	for _, c := range []struct {
		name, want string
		needs      bool
	}{
		{"real/deep", "", true},
		{"own/deep", "", true},
		{"absolute", "", true},
		{"chain", "", true},
		{"sticky/link", "", true},
		{"loop", "too many", true},
		{"file", "not a directory", true},
		{"missing", "no such file", true},
		{"everybodys/link/deep", "everybody may put one", true},
		{"strangers/deep", "not followed", given},
	} {
		if !c.needs {
			t.Logf("%s: not tried, this user cannot give files away", c.name)
			continue
		}
		d, err := atomicfile.OpenDir(in(c.name))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("OpenDir(%s) = %v, want it opened", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("OpenDir(%s) = %v, want an error with %q", c.name, err, c.want)
		}
		if err == nil {
			must(t, d.Close())
		}
	}
	// A way that may be passed but not read.
	must(t, os.Chmod(in("real"), 0o711))
	d, err := atomicfile.OpenDir(in("everybodys"))
	if err != nil || !d.Anyone || !d.Shared {
		t.Fatalf("OpenDir of a directory for everybody = %+v, %v, want it said", d, err)
	}
	must(t, d.Close())
}

// A file that somebody planted does not decide who reads the next content.
func TestTrusts(t *testing.T) {
	for _, c := range []struct {
		mode os.FileMode
		want bool
	}{{0o755, true}, {0o777 | os.ModeSticky, false}, {0o775, false}, {0o777, false}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "app.conf")
		must(t, os.WriteFile(path, nil, 0o666), os.Chmod(dir, c.mode))
		d, err := atomicfile.OpenDir(dir)
		must(t, err)
		info, err := d.Lstat("app.conf")
		must(t, err)
		if !d.Trusts(info) {
			t.Errorf("Trusts of one's own file in a directory of %v = false, want true", c.mode)
		}
		if give(t, path) {
			info, err = d.Lstat("app.conf")
			must(t, err)
			if got := d.Trusts(info); got != c.want {
				t.Errorf("Trusts of a stranger's file in a directory of %v = %v, want %v", c.mode, got, c.want)
			}
		}
		must(t, d.Close())
	}
}

// What is neither a regular file nor a link is not written over, and not waited
// for; other names of a file keep the old content.
func TestPlanted(t *testing.T) {
	if !mountspace.Enter(t) {
		return
	}
	dir := mount(t, "size=1m,mode=755")
	at := func(name string) string { return filepath.Join(dir, name) }
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err, unix.Bind(socket, &unix.SockaddrUnix{Name: at("socket")}), syscall.Mkfifo(at("pipe"), 0o600),
		os.WriteFile(at("victim"), []byte("untouched"), 0o640), os.Link(at("victim"), at("hard")), os.Symlink("victim", at("soft")),
		os.WriteFile(at("bound"), []byte("old"), 0o600), syscall.Mount(at("victim"), at("bound"), "", syscall.MS_BIND, ""))
	if err := unix.Mknod(at("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Logf("no device: %v", err)
	}
	d, err := atomicfile.OpenDir(dir)
	must(t, err)
	for name, want := range map[string]string{"pipe": "no regular file", "socket": "no regular file", "device": "no regular file", "bound": "is a mount point", "hard": "", "soft": ""} {
		if _, err := os.Lstat(at(name)); err != nil {
			continue
		}
		if same, _, err := d.Holds(name, []byte("content")); same || err != nil {
			t.Errorf("Holds(%s) = %v, %v, want false", name, same, err)
		}
		if _, err := d.Read(name, 100); err != nil {
			t.Errorf("Read(%s) = %v", name, err)
		}
		s, err := d.Stage(name, []byte("content"), atomicfile.Private, false)
		if err == nil {
			err = s.Commit()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("replace %s = %v, want an error with %q", name, err, want)
		}
		if want == "is a mount point" {
			if err := d.Remove(name); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Remove(%s) = %v, want an error with %q", name, err, want)
			}
		}
	}
	if got := read(t, at("victim")); got != "untouched" {
		t.Errorf("what links lead to = %q, want it untouched", got)
	}
	if info, err := os.Lstat(at("victim")); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode of what links lead to = %v, %v, want 0640", info.Mode(), err)
	}
	if got := read(t, at("hard")) + read(t, at("soft")); got != "contentcontent" {
		t.Errorf("what was replaced = %q", got)
	}
	for _, name := range names(t, dir) {
		if strings.HasPrefix(name, atomicfile.Prefix) {
			t.Errorf("left behind: %s", name)
		}
	}
}

func TestLabelIsKept(t *testing.T) {
	if !mountspace.Enter(t) {
		return
	}
	dir := mount(t, "size=1m,mode=755")
	path := filepath.Join(dir, "app.conf")
	const selinux = "system_u:object_r:httpd_config_t:s0\x00"
	// The access list of user::rw-, user:10:r--, group::r--, mask::r--, other::---.
	acl := []byte("\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x0a\x00\x00\x00" +
		"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff")
	must(t, os.WriteFile(path, []byte("old"), 0o640))
	set := func(name string, value []byte) bool {
		err := unix.Setxattr(path, name, value, 0)
		if err != nil {
			t.Logf("%s cannot be set here: %v", name, err)
		}
		return err == nil
	}
	want := map[string]string{}
	if set("security.selinux", []byte(selinux)) {
		want["security.selinux"] = selinux
	}
	if set("system.posix_acl_access", acl) {
		want["system.posix_acl_access"] = string(acl)
	}
	set("user.checksum", []byte("of the old content"))
	if len(want) == 0 {
		t.Error("no attribute can be set on a tmpfs: nothing was tested")
	}
	write := func(content string, label bool) {
		t.Helper()
		d, err := atomicfile.OpenDir(dir)
		must(t, err)
		s, err := d.Stage("app.conf", []byte(content), atomicfile.Perm{Mode: 0o640, UID: -1, GID: -1, Label: label}, false)
		must(t, err)
		must(t, s.Commit(), d.Close())
	}
	get := func(name string) string {
		buf := make([]byte, 1000)
		n, err := unix.Getxattr(path, name, buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
	write("new", true)
	for name, value := range want {
		if got := get(name); got != value {
			t.Errorf("%s = %q, want %q", name, got, value)
		}
	}
	if got := get("user.checksum"); got != "" {
		t.Errorf("user.checksum = %q, want what was said of the old content gone", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 || read(t, path) != "new" {
		t.Errorf("file = %v, %v, want the new content with mode 0640", info, err)
	}
	write("newer", false)
	if got := get("security.selinux") + get("system.posix_acl_access"); got == selinux+string(acl) {
		t.Error("the label is kept although nobody asked for it")
	}
	// What a directory hands on to all its files does not open one that had none.
	if unix.Setxattr(dir, "system.posix_acl_default", acl, 0) == nil {
		must(t, os.Remove(path), os.WriteFile(path, nil, 0o640), unix.Removexattr(path, "system.posix_acl_access"))
		write("newest", true)
		if got := get("system.posix_acl_access"); got != "" {
			t.Errorf("access list = %q, want none, as before", got)
		}
	}
	t.Logf("tried: %v", slices.Sorted(func(yield func(string) bool) {
		for name := range want {
			if !yield(name) {
				return
			}
		}
	}))
}

func TestSmallDisk(t *testing.T) {
	if !mountspace.Enter(t) {
		return
	}
	dir := mount(t, "size=64k,mode=755")
	path := filepath.Join(dir, "app.conf")
	must(t, atomicfile.Write(path, []byte("old"), atomicfile.Private))
	for _, size := range []int{1 << 20, 100 << 10} {
		err := atomicfile.Write(path, make([]byte, size), atomicfile.Private)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Write of %d bytes = %v, want that there is no space", size, err)
		}
	}
	// Not even a name is to be had.
	for i, full := 0, false; !full; i++ {
		full = os.WriteFile(filepath.Join(dir, fmt.Sprint("fill", i)), make([]byte, 4096), 0o600) != nil
	}
	if err := atomicfile.Write(path, []byte("new"), atomicfile.Private); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Write = %v, want that there is no space", err)
	}
	if got := read(t, path); got != "old" || slices.ContainsFunc(names(t, dir), func(n string) bool { return strings.HasPrefix(n, atomicfile.Prefix) }) {
		t.Errorf("on a full disk = %q in %q, want old and nothing staged", got, names(t, dir))
	}
	must(t, os.Remove(filepath.Join(dir, "fill0")))
	must(t, atomicfile.Write(path, []byte("new"), atomicfile.Private))
	if got := read(t, path); got != "new" {
		t.Errorf("with space = %q, want new", got)
	}
}
