package configfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/musterhq/muster/agent/configfile"
)

// stranger is a user that is neither root nor who runs the tests.
const stranger = 65533

func plant(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A file that has another name elsewhere loses nothing there, neither when it is
// replaced nor when only its mode is to be another.
func TestHardLinkAtTarget(t *testing.T) {
	for name, content := range map[string]string{"another content": "of the victim", "the same content": "one"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			plant(t, os.WriteFile(h.path("victim"), []byte(content), 0o600), os.Link(h.path("victim"), h.path("app.conf")))
			h.server.put("app", "one")
			k, _ := h.start(configfile.File{DataID: "app", Path: h.path("app.conf"), Mode: "0644"})
			state(t, k, configfile.StateInStep, "")
			h.holds("app.conf", "one")
			h.holds("victim", content)
			if info, err := os.Stat(h.path("victim")); err != nil || info.Mode() != 0o600 {
				t.Errorf("mode of the victim = %v, %v, want 0600", info.Mode(), err)
			}
			if info, err := os.Stat(h.path("app.conf")); err != nil || info.Mode() != 0o644 {
				t.Errorf("mode of the file = %v, %v, want 0644", info.Mode(), err)
			}
			h.leftovers()
		})
	}
}

// A pipe is not waited for, where a file or a template is to be.
func TestPipes(t *testing.T) {
	h := newHost(t)
	plant(t, syscall.Mkfifo(h.path("app.conf"), 0o600), syscall.Mkfifo(h.path("template"), 0o600))
	h.server.put("app", "one")
	k, stop := h.start(configfile.File{DataID: "app", Path: h.path("app.conf")})
	state(t, k, configfile.StateFailed, "no regular file")
	stop()
	k, stop = h.start(configfile.File{Template: &configfile.Template{File: h.path("template")}, Path: h.path("out")})
	state(t, k, configfile.StateRejected, "no regular file")
	stop()
	k, _ = h.start(configfile.File{Template: &configfile.Template{File: "/dev/zero"}, Path: h.path("out")})
	state(t, k, configfile.StateRejected, "no regular file")
}

// A link on the way that somebody else has put there leads the agent nowhere, and
// a file that he planted does not decide who reads the content.
func TestStrangers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can give files away: not tried")
		return
	}
	h := newHost(t)
	plant(t, os.MkdirAll(h.path("shared"), 0o700), os.Chmod(h.path("shared"), 0o777|os.ModeSticky), os.Mkdir(h.path("etc"), 0o755),
		os.Symlink(h.path("etc"), h.path("shared/app")), os.Lchown(h.path("shared/app"), stranger, stranger))
	h.server.put("app", "secret")
	k, stop := h.start(configfile.File{DataID: "app", Path: h.path("shared/app/app.conf"), OnDelete: configfile.OnDeleteRemove})
	state(t, k, configfile.StateFailed, "not followed")
	if files, err := filepath.Glob(h.path("etc/*")); err != nil || len(files) > 0 {
		t.Errorf("where the link leads = %v, %v, want nothing", files, err)
	}
	stop()

	plant(t, os.Remove(h.path("shared/app")), os.WriteFile(h.path("shared/app.conf"), nil, 0o600),
		os.Chmod(h.path("shared/app.conf"), 0o666), os.Lchown(h.path("shared/app.conf"), stranger, stranger))
	k, _ = h.start(configfile.File{DataID: "app", Path: h.path("shared/app.conf")})
	state(t, k, configfile.StateInStep, "")
	info, err := os.Stat(h.path("shared/app.conf"))
	plant(t, err)
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != 0 || info.Mode() != 0o600 {
		t.Errorf("file = %v, uid %d, want it private to root", info.Mode(), stat.Uid)
	}
	for _, f := range k.Status().Files {
		if strings.Contains(f.Error, "secret") {
			t.Errorf("error = %q, want no content", f.Error)
		}
	}
}
