package etcdstore

import (
	"fmt"
	"net/url"
	"strconv"
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

// configKey returns where a record of the configuration centre lies.
func configKey(k config.RecordKey) string {
	return configPrefix + string(k.Kind) + "/" + escaped(k.Names()...)
}

// partsPrefix begins the keys of all parts of a document.
func partsPrefix(k config.Key) string { return namedPrefix(config.KindPart, k) }

// namedPrefix begins the keys of all records of a kind that a document has several of.
func namedPrefix(kind config.Kind, k config.Key) string {
	return configPrefix + string(kind) + "/" + docTail(k) + "/"
}

// docTail is what the keys of one document's history begin with, after their
// prefix.
func docTail(k config.Key) string { return escaped(k.Namespace, k.Group, k.DataID) }

func historyKey(k config.Key, seq int64) string {
	return fmt.Sprintf("%s%s/%016d", historyPrefix, docTail(k), seq)
}

// parseHistoryKey reverses historyKey.
func parseHistoryKey(s string) (config.Key, int64, error) {
	names, err := unescaped(strings.TrimPrefix(s, historyPrefix))
	if err != nil || len(names) != 4 {
		return config.Key{}, 0, fmt.Errorf("key %q is no history", s)
	}
	k := config.Key{Namespace: names[0], Group: names[1], DataID: names[2]}
	seq, err := strconv.ParseInt(names[3], 10, 64)
	if err != nil || historyKey(k, seq) != s {
		return config.Key{}, 0, fmt.Errorf("key %q is no history", s)
	}
	return k, seq, nil
}

func escaped(names ...string) string {
	for i, name := range names {
		names[i] = url.PathEscape(name)
	}
	return strings.Join(names, "/")
}

func unescaped(s string) ([]string, error) {
	names := strings.Split(s, "/")
	for i, name := range names {
		var err error
		if names[i], err = url.PathUnescape(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// parseConfigKey reverses configKey. The generation key is no record: ok is false
// without an error.
func parseConfigKey(s string) (k config.RecordKey, ok bool, err error) {
	if s == configGeneration {
		return k, false, nil
	}
	kind, rest, _ := strings.Cut(strings.TrimPrefix(s, configPrefix), "/")
	names, err := unescaped(rest)
	if err != nil {
		return k, false, fmt.Errorf("key %q: %w", s, err)
	}
	if k, ok = config.RecordKeyOf(config.Kind(kind), names); !ok || configKey(k) != s {
		return k, false, fmt.Errorf("key %q is no record", s)
	}
	return k, true, nil
}
