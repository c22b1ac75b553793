// Package place tells whether a data directory is still where it was written, or
// a copy of it on another host.
package place

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Place is a directory of a host. What it holds of the host are hashes.
type Place struct {
	Machine string `json:"machine,omitempty"` // of machine-id and name of the host: the same after it was started anew
	Boot    string `json:"boot,omitempty"`    // of the kernel that runs: no other host has it, nor this one after it was started anew
	Inode   uint64 `json:"inode,omitempty"`   // of the directory: a copy of it has another
}

// Where a host says who it is.
const bootPath = "/proc/sys/kernel/random/boot_id"

var machinePaths = []string{"/etc/machine-id", "/var/lib/dbus/machine-id"}

// Of returns the place of a directory now. What cannot be found out is empty.
func Of(dir string) Place {
	var p Place
	name, _ := os.Hostname() // empty serves
	machine := ""
	for _, path := range machinePaths {
		if machine == "" {
			machine = line(path)
		}
	}
	if machine != "" || name != "" {
		p.Machine = hash("machine", machine, name)
	}
	if boot := line(bootPath); boot != "" {
		p.Boot = hash("boot", boot)
	}
	if info, err := os.Stat(filepath.Clean(dir)); err == nil {
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			p.Inode = s.Ino
		}
	}
	return p
}

// Same reports whether the directory is at p what it was at o: the same one, on
// the same host. A host whose name or machine-id changed is known by its boot, one
// that was started anew by these.
func (p Place) Same(o Place) bool {
	return p.Inode == o.Inode && (p.Boot != "" && p.Boot == o.Boot || p.Machine != "" && p.Machine == o.Machine)
}

func line(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func hash(parts ...string) string {
	s := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(s[:8])
}
