package track

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/musterhq/muster/config"
)

// digest is an MD5; zero is none.
type digest [16]byte

// parseDigest reads 32 hex digits, or nothing.
func parseDigest(s string) (d digest, ok bool) {
	if s == "" {
		return d, true
	}
	if len(s) != hex.EncodedLen(len(d)) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}

func (d digest) String() string {
	if d == (digest{}) {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// record is what is kept of one client and one document. Times are Unix
// milliseconds.
type record struct {
	seen    int64
	since   int64
	joined  int64
	md5     digest
	kind    uint8
	state   uint8
	release string
	offer   *offer // never edited once it is here, but replaced
}

type offer struct {
	md5     digest
	state   uint8
	at      int64
	release string
	detail  string
}

func (r *record) holder(id string, k config.Key) Holder {
	h := Holder{Client: Client{id, kinds[r.kind]}, Key: k, MD5: r.md5.String(), Release: r.release, State: states[r.state],
		Since: date(r.since), Joined: date(r.joined), Seen: date(r.seen)}
	if o := r.offer; o != nil {
		h.Offer = &Offer{MD5: o.md5.String(), Release: o.release, State: states[o.state], Detail: o.detail, At: date(o.at)}
	}
	return h
}

func date(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// A record on disk is the layout's number, when the client was seen (first, for
// the sweep), then the rest; texts come after their length.
const (
	layout     = 1
	seenAt     = 1 // where it lies
	headLength = 1 + 3*8 + len(digest{}) + 3
)

var errRecord = errors.New("a record that cannot be read")

// append appends the record as it is on disk.
func (r *record) append(b []byte) []byte {
	b = append(b, layout)
	b = binary.BigEndian.AppendUint64(b, uint64(r.seen))
	b = binary.BigEndian.AppendUint64(b, uint64(r.since))
	b = binary.BigEndian.AppendUint64(b, uint64(r.joined))
	b = append(b, r.md5[:]...)
	o := r.offer
	if o == nil {
		return appendText(append(b, r.kind, r.state, unknown), r.release)
	}
	b = appendText(append(b, r.kind, r.state, o.state), r.release)
	b = append(b, o.md5[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(o.at))
	return appendText(appendText(b, o.release), o.detail)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// seenOf returns when the client of a record on disk was seen.
func seenOf(b []byte) (int64, bool) {
	if len(b) < headLength || b[0] != layout {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(b[seenAt:])), true
}

// decode reads what append made; b can be used for other things afterwards.
func decode(b []byte) (r record, err error) {
	seen, ok := seenOf(b)
	if !ok {
		return r, errRecord
	}
	r.seen, r.since = seen, int64(binary.BigEndian.Uint64(b[seenAt+8:]))
	r.joined = int64(binary.BigEndian.Uint64(b[seenAt+16:]))
	r.md5 = digest(b[seenAt+24:])
	kind, state, offered := b[headLength-3], b[headLength-2], b[headLength-1]
	if int(kind) >= len(kinds) || state > applied || offered != unknown && (offered < sent || offered > rejected) {
		return record{}, errRecord
	}
	r.kind, r.state = kind, state
	text := reader{b[headLength:], true}
	r.release = text.text()
	if offered != unknown {
		o := &offer{state: offered}
		copy(o.md5[:], text.take(len(o.md5)))
		if at := text.take(8); text.ok {
			o.at = int64(binary.BigEndian.Uint64(at))
		}
		o.release, o.detail = text.text(), text.text()
		r.offer = o
	}
	if !text.ok || len(text.rest) > 0 {
		return record{}, errRecord
	}
	return r, nil
}

// reader takes a record apart; ok is false once something was missing.
type reader struct {
	rest []byte
	ok   bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.ok, r.rest = false, nil
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) text() string {
	n, length := binary.Uvarint(r.rest)
	if length <= 0 || n > uint64(len(r.rest)) {
		r.ok, r.rest = false, nil
		return ""
	}
	r.take(length)
	return string(r.take(int(n)))
}

// The keys on disk are the names with a zero after each: those of a document,
// then the client, or the other way round. No name has a zero in it.

func appendDocument(b []byte, k config.Key) []byte {
	return appendName(appendName(appendName(b, k.Namespace), k.Group), k.DataID)
}

func appendName(b []byte, s string) []byte { return append(append(b, s...), 0) }

// parseKey reads the names of a document and a client.
func parseKey(b []byte) (k config.Key, id string, ok bool) {
	names := strings.Split(string(b), "\x00")
	if len(names) != 5 || names[4] != "" {
		return k, "", false
	}
	return config.Key{Namespace: names[0], Group: names[1], DataID: names[2]}, names[3], true
}
