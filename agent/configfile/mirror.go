package configfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/atomicfile"
	"github.com/musterhq/muster/internal/filename"
)

// Mirror keeps every document of a group as a file in a directory. The server
// chooses the names there, by an escape that leads nowhere else.
type Mirror struct {
	Group     string `json:"group" yaml:"group"`
	Namespace string `json:"namespace,omitempty" yaml:"namespace,omitempty"` // empty: the agent's
	// Match selects documents by data id; * in it stands for any text. Empty means all.
	Match string `json:"match,omitempty" yaml:"match,omitempty"`
	// Path is the absolute path of the directory, which must be there. It is the
	// mirror's alone among the entries; files in it that the mirror did not write
	// are left alone unless a document has their name.
	Path string `json:"path" yaml:"path"`
	Mode Mode   `json:"mode,omitempty" yaml:"mode,omitempty"` // of the files, as of a File
	// Owner, Check, Reload, Timeout, Splay and OnDelete are as of a File, for each
	// file by itself. Commands of a mirror run one after another.
	Owner    string        `json:"owner,omitempty" yaml:"owner,omitempty"`
	Check    []string      `json:"check,omitempty" yaml:"check,omitempty"`
	Reload   []string      `json:"reload,omitempty" yaml:"reload,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty" yaml:"timeout,omitempty"`
	Splay    time.Duration `json:"splay,omitempty" yaml:"splay,omitempty"`
	OnDelete string        `json:"on_delete,omitempty" yaml:"on_delete,omitempty"`
}

// maxMirrors bounds the mirrors, which one watch covers.
const maxMirrors = 100

func (m Mirror) validate() error {
	if m.Group == "" {
		return errors.New("group is missing")
	}
	if strings.Contains(m.Group, "*") || strings.Contains(m.Namespace, "*") {
		return errors.New("a mirror is of one group of one namespace: * stands for any text in match alone")
	}
	if !plain(m.Path) {
		return fmt.Errorf("path %q is not the absolute, plain path of a directory", m.Path)
	}
	return m.file(client.Name{Name: "any"}).validate()
}

// file returns the entry of one document.
func (m Mirror) file(n client.Name) File {
	return File{
		DataID: n.Name, Group: n.Group, Namespace: n.Namespace, Path: filepath.Join(m.Path, filename.Of(n.Name)), Mode: m.Mode, Owner: m.Owner,
		Check: m.Check, Reload: m.Reload, Timeout: m.Timeout, Splay: m.Splay, OnDelete: m.OnDelete,
	}
}

// mirror is a Mirror at work, under the Keeper's mutex.
type mirror struct {
	Mirror

	group   client.Name // without a name
	turn    chan struct{}
	swept   sync.Once
	names   string // digest of the data ids when they were told last; empty: not known
	known   bool   // the server has told of them
	members map[client.Name]*target
	trouble string // why not every document has a file
}

func newMirror(m Mirror, space string) *mirror {
	group := nameOf("any", m.Group, m.Namespace, space)
	group.Name = ""
	return &mirror{Mirror: m, group: group, turn: make(chan struct{}, 1), members: make(map[client.Name]*target)}
}

// title says what the mirror holds, for people.
func (m *mirror) title() string {
	match := m.Match
	if match == "" {
		match = "*"
	}
	return m.group.Namespace + "/" + m.group.Group + "/" + match
}

// covers reports whether a document of its group is among those that it keeps.
func (m *mirror) covers(dataID string) bool {
	parts := strings.Split(m.Match, "*")
	if m.Match == "" {
		return true
	}
	rest, ok := strings.CutPrefix(dataID, parts[0])
	if len(parts) == 1 || !ok {
		return ok && rest == ""
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, last)
}

// maxDataID is the longest data id that any server takes, 256 characters.
const maxDataID = 256 * utf8.UTFMax

// plausible reports whether a document may have that data id. What no server that
// is in its right mind tells is not asked for.
func plausible(dataID string) bool {
	return dataID != "" && len(dataID) <= maxDataID && utf8.ValidString(dataID) && !strings.ContainsFunc(dataID, unicode.IsControl)
}

// groups tells what is known of the mirrors' groups. k.mu is held.
func (k *Keeper) groups() (all []api.ConfigGroup) {
	for _, m := range k.mirrors {
		all = append(all, api.ConfigGroup{Namespace: m.group.Namespace, Group: m.group.Group, Names: m.names})
	}
	return all
}

// hear takes up which documents groups have. Those that are new get a file; those
// that are gone are told of by their own watch.
func (k *Keeper) hear(told []api.ConfigGroupNames) {
	if len(told) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.mirrors {
		for _, g := range told {
			if g.Namespace == m.group.Namespace && g.Group == m.group.Group {
				k.enlist(m, g)
			}
		}
	}
	k.track()
}

// enlist is hear for one mirror. k.mu is held.
func (k *Keeper) enlist(m *mirror, g api.ConfigGroupNames) {
	m.names, m.known = g.Names, true
	listed := make(map[client.Name]bool, len(g.DataIDs))
	odd, over := 0, g.Total-len(g.DataIDs)
	for _, id := range g.DataIDs {
		if !m.covers(id) {
			continue
		}
		n := m.group
		n.Name = id
		listed[n] = true
		switch {
		case m.members[n] != nil:
		case !plausible(id):
			odd++
		case k.entries >= MaxFiles:
			over++
		default:
			k.adopt(m, n)
		}
	}
	for n, t := range m.members {
		if d := k.documents[n]; !listed[n] && (d == nil || !d.known) {
			k.dismiss(t) // it went before it was ever read
		}
	}
	before := m.trouble
	m.trouble = ""
	if over > 0 {
		m.trouble = fmt.Sprintf("%d documents more than can be kept have no file: an agent keeps %d", over, MaxFiles)
	}
	if odd > 0 {
		m.trouble = fmt.Sprintf("%d documents have names that no document can have", odd)
	}
	if m.trouble != "" && m.trouble != before {
		k.cfg.Logger.Error("not every document of a group has a file", "path", m.Path, "config", m.title(), "err", m.trouble)
	}
}

// adopt gives a document a file in the mirror. k.mu is held, and track has to be
// called.
func (k *Keeper) adopt(m *mirror, n client.Name) {
	t := newTarget(m.file(n), k.cfg.Namespace, k)
	t.mirror, t.stop = m, func() {}
	m.members[n] = t
	k.targets = append(k.targets, t)
	k.entries++
	if k.launch != nil {
		k.launch(t)
	}
}

// dismiss forgets a file of a mirror. k.mu is held, and track has to be called.
func (k *Keeper) dismiss(t *target) {
	t.stop()
	delete(t.mirror.members, t.sources[0].document)
	// Should the document come back now, the names are the same as before.
	t.mirror.names = ""
	k.targets = slices.DeleteFunc(k.targets, func(o *target) bool { return o == t })
	k.entries--
	if t.recorded() && !k.cache.frozen {
		if err := atomicfile.Remove(filepath.Join(k.cfg.Dir, recordName(t.path))); err != nil {
			k.cfg.Logger.Error("record of a config file that is gone stays", "path", t.path, "err", err)
		}
	}
}

// remember adopts the documents of mirrors that the cache has: while the server
// is away they are all that is known, and one that was deleted meanwhile would be
// missed. k.mu is held.
func (k *Keeper) remember() {
	if len(k.mirrors) == 0 || k.cache.dir == "" {
		return
	}
	files, err := os.ReadDir(k.cache.dir)
	if err != nil {
		return // there is none yet
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), cachePrefix) || strings.HasSuffix(f.Name(), broken) {
			continue
		}
		head, _, err := readSealed(filepath.Join(k.cache.dir, f.Name()))
		var e entry
		if err != nil || json.Unmarshal(head, &e) != nil || filepath.Base(k.cache.path(e.name())) != f.Name() {
			continue
		}
		for _, m := range k.mirrors {
			n := e.name()
			if n.Namespace == m.group.Namespace && n.Group == m.group.Group && m.covers(n.Name) && plausible(n.Name) &&
				m.members[n] == nil && k.entries < MaxFiles {
				k.adopt(m, n)
			}
		}
	}
}

// take waits for the turn of a command of the mirror; commands of other entries
// have no turns. It reports false when ctx ends before.
func (m *mirror) take(ctx context.Context) (release func(), ok bool) {
	if m == nil {
		return func() {}, true
	}
	select {
	case m.turn <- struct{}{}:
		return func() { <-m.turn }, true
	case <-ctx.Done():
		return nil, false
	}
}

// status is the state of the mirror beside that of its files.
func (m *mirror) status() FileStatus {
	s := FileStatus{Config: m.title(), Path: m.Path, State: StateWaiting}
	switch {
	case m.trouble != "":
		s.State, s.Error = StateFailed, m.trouble
	case m.known:
		s.State = StateInStep
	}
	return s
}
