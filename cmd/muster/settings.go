package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/musterhq/muster/internal/nearest"
)

// maxSettings bounds a settings file.
const maxSettings = 1 << 20

// readSettings decodes a settings file strictly into what it configures. The
// error names file, line and, for an unknown key, the one probably meant.
func readSettings(path string, into any) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxSettings {
		return fmt.Errorf("%s: longer than %d bytes", path, maxSettings)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(content)) == "" {
		return nil
	}
	documents := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict())
	if err := documents.Decode(into); err != nil {
		if m := misfitOf(content, reflect.TypeOf(into)); m != nil {
			return fmt.Errorf("%s:%d: %s", path, m.line, m.text)
		}
		return settingsError(path, err, into)
	}
	if err := documents.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: holds more than one document", path)
	}
	return nil
}

func settingsError(path string, err error, into any) error {
	var y yaml.Error
	if !errors.As(err, &y) {
		return fmt.Errorf("%s: %w", path, err)
	}
	where := path
	if t := y.GetToken(); t != nil && t.Position != nil {
		where = fmt.Sprintf("%s:%d", path, t.Position.Line)
	}
	message := y.GetMessage()
	if key, ok := strings.CutPrefix(message, `unknown field "`); ok {
		key = strings.TrimSuffix(key, `"`)
		message = fmt.Sprintf("unknown key %q", key)
		if meant := nearest.Of(key, keysOf(reflect.TypeOf(into))); meant != "" {
			message += fmt.Sprintf(", did you mean %q", meant)
		}
	}
	if strings.HasPrefix(message, "cannot unmarshal") { // of an alias, what misfitOf does not follow
		message = "a value is of another type than its key takes"
	}
	return fmt.Errorf("%s: %s", where, message)
}

// keysOf returns every key that may stand in a file of type t, nested ones too.
func keysOf(t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return keysOf(t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var keys []string
	for f := range t.Fields() {
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options == "inline" {
			keys = append(keys, keysOf(f.Type)...)
		}
		if key != "" && key != "-" {
			keys = append(append(keys, key), keysOf(f.Type)...)
		}
	}
	return keys
}
