package etcdstore

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
)

// prefix is where everything lies; the number is the layout's.
const prefix = "/muster/1/"

const (
	registryPrefix = prefix + "reg/"
	configPrefix   = prefix + "cfg/"
	// generation keys are put by every transaction of their domain, so that each
	// one is seen by the watch, whatever else it wrote.
	registryGeneration = registryPrefix + "gen"
	configGeneration   = configPrefix + "gen"

	versionKey = prefix + "meta/version"
	epochKey   = prefix + "meta/epoch"
	nameKey    = prefix + "meta/name"
	// defragKey is held by the member that defragments its file.
	defragKey = prefix + "defrag"

	docPrefix     = configPrefix + "doc/"
	seqPrefix     = configPrefix + "seq/"
	blobPrefix    = prefix + "bulk/blob/"
	historyPrefix = prefix + "bulk/his/"
	judgeKey      = prefix + "judge"
	serverPrefix  = prefix + "srv/"
	mailPrefix    = prefix + "hrd/"
)

// recordKey returns where a registry record lies: every component of its name
// is escaped into one segment.
func recordKey(k registry.Key) string {
	var b strings.Builder
	b.WriteString(registryPrefix)
	b.WriteString(string(k.Kind))
	for _, part := range k.Name[:k.Kind.Parts()] {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(part))
	}
	return b.String()
}

// registrationPrefix returns what the keys of a service's registrations begin
// with.
func registrationPrefix(k registry.ServiceKey) string {
	return registryPrefix + string(registry.KindRegistration) + "/" +
		url.PathEscape(k.Namespace) + "/" + url.PathEscape(k.Group) + "/" + url.PathEscape(k.Name) + "/"
}

// parseRecordKey reverses recordKey. The generation key is no record: ok is
// false without an error. A key that recordKey would spell otherwise is none
// either, as two keys would be one record.
func parseRecordKey(s string) (k registry.Key, ok bool, err error) {
	if s == registryGeneration {
		return k, false, nil
	}
	kind, rest, _ := strings.Cut(strings.TrimPrefix(s, registryPrefix), "/")
	k.Kind = registry.Kind(kind)
	parts := strings.Split(rest, "/")
	if n := k.Kind.Parts(); n == 0 || n != len(parts) {
		return k, false, fmt.Errorf("key %q is no record", s)
	}
	for i, part := range parts {
		if k.Name[i], err = url.PathUnescape(part); err != nil {
			return k, false, fmt.Errorf("key %q: %w", s, err)
		}
	}
	if recordKey(k) != s {
		return k, false, fmt.Errorf("key %q is no record: it should be spelled %q", s, recordKey(k))
	}
	return k, true, nil
}

// docTail is what the keys of one document end with.
func docTail(k config.Key) string {
	return url.PathEscape(k.Namespace) + "/" + url.PathEscape(k.Group) + "/" + url.PathEscape(k.DataID)
}

func parseDocTail(s string) (config.Key, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return config.Key{}, fmt.Errorf("key tail %q is no document", s)
	}
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil {
			return config.Key{}, fmt.Errorf("key tail %q: %w", s, err)
		}
	}
	k := config.Key{Namespace: parts[0], Group: parts[1], DataID: parts[2]}
	if docTail(k) != s {
		return config.Key{}, fmt.Errorf("key tail %q is no document: it should be spelled %q", s, docTail(k))
	}
	return k, nil
}

// parseConfigKey reads the key of a document's head or sequence. Other keys of
// the domain are no records: ok is false without an error.
func parseConfigKey(s string) (k config.Key, isHead, ok bool, err error) {
	tail, isHead := strings.CutPrefix(s, docPrefix)
	if !isHead {
		var isSeq bool
		if tail, isSeq = strings.CutPrefix(s, seqPrefix); !isSeq {
			return k, false, false, nil
		}
	}
	k, err = parseDocTail(tail)
	return k, isHead, err == nil, err
}
