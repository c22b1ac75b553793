package labels

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// check returns what is wrong with a label.
func (l label) check() error {
	if err := checkName(l.name); err != nil {
		return err
	}
	switch {
	case len(l.value) > maxValue:
		return fmt.Errorf("the value of label %q is longer than %d bytes", l.name, maxValue)
	case strings.ContainsFunc(l.value, unicode.IsControl):
		return fmt.Errorf("the value of label %q has a control character", l.name)
	}
	return nil
}

// checkName returns what is wrong with the name of a label. Selectors are written
// with the characters that it may not have.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("a label has no name")
	case len(name) > maxName:
		return fmt.Errorf("the name of label %.32q… is longer than %d bytes", name, maxName)
	case strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`=&|,;'"`, r)
	}):
		return fmt.Errorf("label %q: a name has no white space, control characters or any of = & | , ; ' \"", name)
	}
	return nil
}
