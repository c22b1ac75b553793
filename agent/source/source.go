// Package source is where an agent's instances come from: definition files in a
// directory that it watches, and registrations that outlive a restart.
package source

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// Sources joins what definition files and the local API declare, and hands
// the roll the sum of it. It is safe for use by several goroutines.
type Sources struct {
	cfg  Config
	roll *roll.Roll

	mu        sync.Mutex
	files     map[string]*file         // by name; under mu
	dirErr    error                    // why the directory could not be read; under mu
	seen      bool                     // the directory has been read once; under mu
	apps      map[string]app           // by name; under mu
	joined    map[roll.Key]roll.Member // under mu
	problems  map[string][]string      // by origin, what could not be declared; under mu
	addresses map[string]netip.Addr    // what templates last yielded; under mu
	stood     map[identity]roll.Key    // as what a definition was last declared; under mu
	resolved  map[string]resolution    // what they yield, as of the latest scan or registration; under mu
	mistakes  uint64                   // see Mistakes; under mu
}

// resolution is what an address template yields.
type resolution struct {
	address netip.Addr
	err     error
}

// file is one definition file.
type file struct {
	sum      [sha256.Size]byte // of the content that was last read
	services []definition.Service
	err      error // why the present content does not count; services are the last that did
}

// Config says where definitions lie and what they leave out.
type Config struct {
	// Dir holds the definition files; it may come to be later.
	Dir string
	// Apps is the file of what the local API registered.
	Apps string
	// Address is the IP address, or template of one, of definitions without;
	// empty means the host's private one.
	Address string
	// Loopback takes the loopback address where there is no private one.
	Loopback bool
	// Namespace of definitions that name none.
	Namespace string
	// Rescan is how often Watch reads everything even when nothing told of a
	// change.
	Rescan time.Duration
	Logger *slog.Logger
	// Turn is called with each turn of Watch, Rescan after the one before at the
	// latest; nil is none.
	Turn func()
}

// New returns Sources that declare to r.
func New(cfg Config, r *roll.Roll) *Sources {
	return &Sources{
		cfg: cfg, roll: r,
		files: make(map[string]*file), apps: make(map[string]app), addresses: make(map[string]netip.Addr), stood: make(map[identity]roll.Key),
	}
}

// Scan reads the definition files and declares what they and the local API
// say. It reports whether the directory could be read; while it cannot, what
// it last held stays declared.
func (s *Sources) Scan() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Not before: of two scans at a time the one that has listed less could come last.
	names, err := list(s.cfg.Dir)
	s.noteDirectory(err)
	if err == nil {
		s.seen = true
		for name := range s.files {
			if !slices.Contains(names, name) {
				s.cfg.Logger.Info("definition file removed", "file", name)
				delete(s.files, name)
			}
		}
		for _, name := range names {
			s.read(name)
		}
	}
	s.resolved = nil
	s.merge()
	return err == nil
}

func (s *Sources) noteDirectory(err error) {
	before := s.dirErr
	s.dirErr = err
	switch {
	case err == nil && before != nil:
		s.cfg.Logger.Info("services directory is there", "dir", s.cfg.Dir)
	case err == nil || before != nil && before.Error() == err.Error():
	case s.seen:
		s.mistakes++
		s.cfg.Logger.Error("services directory cannot be read, what it held stays declared", "dir", s.cfg.Dir, "err", err)
	default:
		s.cfg.Logger.Warn("services directory cannot be read, waiting for it", "dir", s.cfg.Dir, "err", err)
	}
}

// list returns the names of the definition files in dir.
func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if definition.IsFile(e.Name()) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// read takes up one definition file. s.mu is held.
func (s *Sources) read(name string) {
	f := s.files[name]
	if f == nil {
		f = &file{}
		s.files[name] = f
	}
	content, err := readFile(filepath.Join(s.cfg.Dir, name))
	sum := sha256.Sum256(content)
	if err == nil && sum == f.sum {
		return
	}
	var services []definition.Service
	if err == nil {
		f.sum = sum
		services, err = definition.Decode(name, content)
	}
	before := f.err
	f.err = err
	if err != nil {
		if content == nil {
			f.sum = [sha256.Size]byte{} // unread: the same content counts again later
		}
		if before == nil || before.Error() != err.Error() {
			s.mistakes++
			s.cfg.Logger.Error("definition file does not count", "err", err, "file", name, "standing", len(f.services))
		}
		return
	}
	f.services = services
	s.cfg.Logger.Info("definition file read", "file", name, "services", len(services))
}

// readFile returns the content of a regular file of bounded size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", filepath.Base(path))
	case info.Size() > definition.MaxSize:
		return nil, fmt.Errorf("%s is longer than %d bytes", filepath.Base(path), definition.MaxSize)
	}
	return os.ReadFile(path)
}

// fileOrigin and appOrigin name where an instance comes from.
func fileOrigin(name string) string { return "file " + name }

// AppOrigin is what instances say that come of the registration id.
func AppOrigin(id string) string { return "app " + id }

// merge declares the sum of all sources: files in the order of their names,
// then registrations of the local API. An instance that an earlier source
// declares is a problem of the later one. s.mu is held.
func (s *Sources) merge() {
	want := make(map[roll.Key]roll.Member)
	before := s.problems
	s.problems = make(map[string][]string)
	stood := s.stood
	s.stood = make(map[identity]roll.Key)
	add := func(origin string, services []definition.Service) {
		for _, service := range services {
			k, d, err := s.resolve(service)
			if err == nil {
				if first, taken := want[k]; taken {
					err = fmt.Errorf("%s is declared by %s already", k, first.Origin)
				}
			} else if k.Address != "" {
				s.problem(origin, err, before) // the last-known address serves
				err = nil
			}
			if err != nil {
				s.problem(origin, err, before)
				continue
			}
			d.Origin = origin
			s.follow(stood, origin, service, k, &d)
			want[k] = d
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		add(fileOrigin(name), s.files[name].services)
	}
	for _, id := range slices.Sorted(maps.Keys(s.apps)) {
		add(AppOrigin(id), []definition.Service{s.apps[id].Service})
	}
	s.join(want, before)
	s.forget()
	s.roll.Declare(want)
}

// forget drops what templates yielded that nobody has any more. s.mu is held.
func (s *Sources) forget() {
	used := make(map[string]bool)
	for _, f := range s.files {
		for _, service := range f.services {
			used[cmp.Or(service.Address, s.cfg.Address)] = true
		}
	}
	for _, a := range s.apps {
		used[cmp.Or(a.Address, s.cfg.Address)] = true
	}
	maps.DeleteFunc(s.addresses, func(text string, _ netip.Addr) bool { return !used[text] })
	maps.DeleteFunc(s.resolved, func(text string, _ resolution) bool { return !used[text] })
}

// problem notes what is wrong with one source, and logs it when it is new.
func (s *Sources) problem(origin string, err error, before map[string][]string) {
	text := err.Error()
	s.problems[origin] = append(s.problems[origin], text)
	if !slices.Contains(before[origin], text) {
		s.mistakes++
		s.cfg.Logger.Error("definition has a problem", "origin", origin, "err", err)
	}
}

// resolve returns the instance that d defines. When its address yields nothing
// now but did earlier, that is returned together with the error. s.mu is held.
func (s *Sources) resolve(d definition.Service) (roll.Key, roll.Member, error) {
	address, err := s.address(d.Address)
	if err != nil {
		err = fmt.Errorf("service %s: address: %w", d.Name, err)
		if !address.IsValid() {
			return roll.Key{}, roll.Member{}, err
		}
	}
	n := client.Name{Namespace: cmp.Or(d.Namespace, s.cfg.Namespace), Group: d.Group, Name: d.Name}.WithDefaults()
	k := roll.Key{Namespace: n.Namespace, Group: n.Group, Service: n.Name, Address: address.String(), Port: uint16(d.Port)}
	return k, roll.Member{Checks: d.Checks, Line: d.Line, Instance: api.AgentInstance{
		Namespace: k.Namespace, Group: k.Group, Service: k.Service, Address: k.Address, Port: k.Port,
		Cluster: d.Cluster, Weight: d.Weight, Enabled: d.Enabled, Metadata: d.Metadata,
	}}, err
}

// address returns what text, or when that is empty the agent's own address,
// yields now; with an error, what it last yielded, if anything: an interface
// that is down for a moment must not move or withdraw instances. s.mu is held.
func (s *Sources) address(text string) (netip.Addr, error) {
	text = cmp.Or(text, s.cfg.Address)
	r, known := s.resolved[text]
	if !known {
		if s.resolved == nil {
			s.resolved = make(map[string]resolution)
		}
		r.address, r.err = s.yield(text)
		if r.err != nil {
			r.address = s.addresses[text]
		} else {
			s.addresses[text] = r.address
		}
		s.resolved[text] = r
	}
	return r.address, r.err
}

// yield resolves text, and the agent's default address when it is empty.
func (s *Sources) yield(text string) (netip.Addr, error) {
	if text != "" {
		return definition.ResolveAddress(text)
	}
	address, err := definition.ResolveAddress(definition.PrivateIP)
	if err != nil && s.cfg.Loopback {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("this host has no private address, so one must be set: %w", err)
	}
	return address, nil
}

// ErrTaken is met when another source declares the same instance.
var ErrTaken = errors.New("is declared already")

// Put registers service as id, kept over a restart, and reports whether id
// is new. The error is ErrTaken for an instance that another source declares,
// ErrOwned where another user registered id, ErrLocal for what only files may
// ask for, and fs.ErrInvalid when the address cannot be resolved.
func (s *Sources) Put(id string, service definition.Service, by Caller) (created bool, k roll.Key, err error) {
	if field := LocalOnly(service); field != "" {
		return false, roll.Key{}, fmt.Errorf("%s %w", field, ErrLocal)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resolved = nil
	if err := s.apps[id].by(id, by); err != nil {
		return false, roll.Key{}, err
	}
	k, _, err = s.resolve(service)
	if err != nil {
		return false, roll.Key{}, fmt.Errorf("%w: %w", fs.ErrInvalid, err)
	}
	if origin, taken := s.roll.Origin(k); taken && origin != AppOrigin(id) {
		return false, roll.Key{}, fmt.Errorf("%s %w by %s", k, ErrTaken, origin)
	}
	apps := maps.Clone(s.apps)
	before, exists := apps[id]
	apps[id] = by.owned(service, before, exists)
	if fit, err := fits(apps); err != nil || !fit {
		return false, roll.Key{}, errors.Join(ErrTooMany, err)
	}
	if err := s.store(apps); err != nil {
		return false, roll.Key{}, err
	}
	s.apps = apps
	s.merge()
	return !exists, k, nil
}

// Remove withdraws id and reports whether it was registered. The error is
// ErrOwned where another user did.
func (s *Sources) Remove(id string, by Caller) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, exists := s.apps[id]
	if !exists {
		return false, nil
	}
	if err := before.by(id, by); err != nil {
		return true, err
	}
	apps := maps.Clone(s.apps)
	delete(apps, id)
	if err := s.store(apps); err != nil {
		return true, err
	}
	s.apps = apps
	s.merge()
	return true, nil
}
