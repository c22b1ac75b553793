package config

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Defaults of the Nacos world, which are ours too.
const (
	DefaultNamespace = "public"
	DefaultGroup     = "DEFAULT_GROUP"
)

// Key is the identity of a document.
type Key struct{ Namespace, Group, DataID string }

// String returns namespace/group/dataId.
func (k Key) String() string { return k.Namespace + "/" + k.Group + "/" + k.DataID }

// Compare orders by namespace, group and data id.
func (k Key) Compare(o Key) int {
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Group, o.Group), strings.Compare(k.DataID, o.DataID))
}

// Limits of names, in characters.
const (
	maxDataID = 256
	maxGroup  = 128
	maxName   = 64 // of a release or part
)

var namespaceForm = regexp.MustCompile(`^[0-9A-Za-z_.:-]{1,128}$`)

// Validate returns an [*InvalidError] for a key that no document may have. As in
// Nacos, data id and group take any letter or digit and _ - . and :.
func (k Key) Validate() error {
	if err := validateNamespace(k.Namespace); err != nil {
		return err
	}
	if err := validateName("dataId", k.DataID, maxDataID); err != nil {
		return err
	}
	return validateName("group", k.Group, maxGroup)
}

func validateNamespace(s string) error {
	if !namespaceForm.MatchString(s) {
		return invalid("namespace", s, "must be 1 to 128 letters, digits or one of _ - . :")
	}
	return nil
}

func validateName(field, s string, limit int) error {
	switch {
	case s == "":
		return invalid(field, s, "is missing")
	case utf8.RuneCountInString(s) > limit:
		return invalid(field, s, "is longer than "+strconv.Itoa(limit)+" characters")
	case !utf8.ValidString(s):
		return invalid(field, strings.ToValidUTF8(s, "?"), "is not valid UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.:", r)
	}):
		return invalid(field, s, "contains an illegal character")
	}
	return nil
}
