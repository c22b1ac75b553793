package localdns

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/internal/atomicfile"
)

const (
	// snapshotName is the file of the answers in use in Config.Dir, and brokenSuffix
	// what is added to the name of one that cannot be read.
	snapshotName = "dns-answers"
	brokenSuffix = ".broken"
	// magic begins the file; what is kept in another form is another magic.
	magic = "muster answers 1\n"
	// mostSnapshot bounds the file.
	mostSnapshot = 8 << 20
	// mostWritten bounds the answers in it: those used last.
	mostWritten = 4096
	// firstWrite is how soon after the first news the file is written, writeEvery how
	// often at most, and anyWrite how often it is written without news: the age of
	// what it holds counts.
	firstWrite = 2 * time.Second
	writeEvery = 15 * time.Second
	anyWrite   = 15 * time.Minute
)

// snapshot is what is kept on disk: with it an agent that starts while no server can
// be reached answers at once, and knows which names are never to be asked elsewhere.
type snapshot struct {
	zones   []string // learned
	servers []string // learned
	answers []*answer
}

// encode returns the snapshot as a file: magic, SHA-256 of the rest, and the rest,
// texts and messages with their length in front.
func (s *snapshot) encode() []byte {
	var body []byte
	list := func(texts []string) {
		body = binary.AppendUvarint(body, uint64(len(texts)))
		for _, t := range texts {
			body = appendBytes(body, []byte(t))
		}
	}
	list(s.zones)
	list(s.servers)
	var n uint64
	var messages []byte
	for _, a := range s.answers {
		if n == mostWritten || len(messages)+len(a.wire) > mostSnapshot/2 {
			break
		}
		n++
		messages = binary.AppendVarint(messages, a.at.Unix())
		messages = appendBytes(messages, a.flags())
		messages = appendBytes(messages, a.wire)
	}
	return seal(append(binary.AppendUvarint(body, n), messages...))
}

// seal puts magic and checksum in front of a body.
func seal(body []byte) []byte {
	sum := sha256.Sum256(body)
	return slices.Concat([]byte(magic), sum[:], body)
}

// flags are what the message does not say by itself.
func (a *answer) flags() []byte {
	if a.do {
		return []byte{1}
	}
	return []byte{0}
}

func appendBytes(to, b []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(b))), b...)
}

// decode reads a file as encode makes it. The times of its answers are no later
// than now: one of the future was written before the clock was set back, nobody knows
// how old it is, and it counts as just over. An error says what is wrong with the file.
func decode(file []byte, now time.Time) (*snapshot, error) {
	rest, ok := bytes.CutPrefix(file, []byte(magic))
	if !ok || len(rest) < sha256.Size {
		return nil, errors.New("it is no file of answers, or of another version")
	}
	sum, body := rest[:sha256.Size], rest[sha256.Size:]
	if is := sha256.Sum256(body); !bytes.Equal(sum, is[:]) {
		return nil, errors.New("its checksum is wrong")
	}
	r := &reader{b: bytes.NewReader(body), now: now}
	s := &snapshot{zones: r.texts(), servers: r.texts()}
	for n := r.number(); n > 0 && r.err == nil; n-- {
		at, known := r.time()
		flags, wire := r.bytes(), r.bytes()
		if r.err != nil {
			break
		}
		a, err := readAnswer(wire, len(flags) > 0 && flags[0]&1 != 0, at)
		if err != nil {
			return nil, err
		}
		if !known {
			a.at = now.Add(-a.ttl)
		}
		s.answers = append(s.answers, a)
	}
	if r.err == nil && r.b.Len() > 0 {
		r.err = errors.New("it goes on behind its end")
	}
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}

// readAnswer makes of a message on disk what newAnswer made of it.
func readAnswer(wire []byte, do bool, at time.Time) (*answer, error) {
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		return nil, fmt.Errorf("a message of it: %w", err)
	}
	if len(m.Question) != 1 || !m.Response || len(m.Answer) == 0 {
		return nil, errors.New("a message of it is no answer")
	}
	q := question{name: strings.ToLower(m.Question[0].Name), qtype: m.Question[0].Qtype, do: do}
	return newAnswer(q, m, at)
}

// reader reads the parts of a file up to the first error.
type reader struct {
	b   *bytes.Reader
	now time.Time
	err error
}

func (r *reader) number() uint64 {
	if r.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(r.b)
	if err != nil {
		r.err = io.ErrUnexpectedEOF
	}
	return n
}

// time reads when something was. The wall clock alone says that over a restart: it
// is asked once, here, so that one that is set later changes nothing. What it puts
// into the future is now, and not known.
func (r *reader) time() (at time.Time, known bool) {
	if r.err != nil {
		return time.Time{}, false
	}
	n, err := binary.ReadVarint(r.b)
	if err != nil {
		r.err = io.ErrUnexpectedEOF
	}
	age := r.now.Sub(time.Unix(n, 0))
	return r.now.Add(-max(age, 0)), age >= 0
}

func (r *reader) bytes() []byte {
	n := r.number()
	if r.err == nil && n > uint64(r.b.Len()) {
		r.err = io.ErrUnexpectedEOF
	}
	if r.err != nil {
		return nil
	}
	b := make([]byte, n)
	_, r.err = io.ReadFull(r.b, b)
	return b
}

func (r *reader) texts() []string {
	var all []string
	for n := r.number(); n > 0 && r.err == nil; n-- {
		if t := r.bytes(); r.err == nil {
			all = append(all, string(t))
		}
	}
	return all
}

// restore reads the snapshot. One that cannot be read is put aside, and whatever is
// wrong with it or its disk, the start goes on without it.
func (r *Resolver) restore() {
	if r.cfg.Dir == "" {
		return
	}
	path := filepath.Join(r.cfg.Dir, snapshotName)
	if _, err := atomicfile.Clean(path); err != nil {
		r.log.Warn("what a crash left of kept dns answers stays", "file", path, "err", err)
	}
	s, err := readSnapshot(path)
	if err != nil {
		err = errors.Join(err, os.Rename(path, path+brokenSuffix))
		r.log.Error("kept dns answers cannot be read, they are put aside", "file", path+brokenSuffix, "err", err)
	}
	if s == nil {
		return
	}
	r.learn(s.servers, s.zones)
	now := time.Now()
	for _, a := range slices.Backward(s.answers) {
		if r.zones.ours(a.name) && a.usable(now) {
			r.kept.put(a)
		}
	}
	_, r.written = r.kept.inUse()
	r.writtenOf = r.learned.Load()
}

// readSnapshot returns what a file holds, nil where there is none. What is no file is
// neither followed nor waited for.
func readSnapshot(path string) (*snapshot, error) {
	b, err := atomicfile.Read(path, mostSnapshot+1)
	if err != nil {
		return nil, err
	}
	if b == nil {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, errors.New("it is no regular file")
	}
	if len(b) > mostSnapshot {
		return nil, errors.New("it is too large")
	}
	return decode(b, time.Now())
}

// save writes the snapshot if there is news, or always.
func (r *Resolver) save(always bool) {
	all, changes := r.kept.inUse()
	learned := r.learned.Load()
	if r.cfg.Dir == "" || !always && changes == r.written && learned == r.writtenOf || len(all) == 0 && learned == nil {
		return
	}
	s := &snapshot{answers: all}
	if learned != nil {
		s.zones, s.servers = learned.zones, learned.servers
	}
	err := atomicfile.Write(filepath.Join(r.cfg.Dir, snapshotName), s.encode(), atomicfile.Private)
	text := ""
	if err != nil {
		text = err.Error()
	} else {
		r.written, r.writtenOf = changes, learned
	}
	if before := r.saveProblem.Swap(&text); text != "" && (before == nil || *before != text) {
		r.log.Warn("dns answers in use are not on disk", "err", err)
	}
}

// keep writes the snapshot now and then until ctx ends, and once more then.
func (r *Resolver) keep(ctx context.Context) error {
	timer := time.NewTimer(firstWrite)
	defer timer.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			r.save(true)
			return nil
		case <-timer.C:
		}
		before := r.written
		always := time.Since(last) >= anyWrite
		r.save(always)
		wait := firstWrite
		if always || r.written != before {
			last, wait = time.Now(), writeEvery
		}
		timer.Reset(wait)
	}
}
