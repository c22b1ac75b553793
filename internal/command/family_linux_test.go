package command_test

import (
	"testing"

	"github.com/musterhq/muster/internal/command"
)

// FuzzParseStat reads what a program may make of /proc/PID/stat by its name.
func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (sh) S 0 12 1 0"))
	f.Add([]byte("1 (a) Z 0 9 (b) R 4 5 6"))
	f.Add([]byte(""))
	f.Add([]byte("\x00 0 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		state, group := command.ParseStat(b)
		if state == 0 && group != 0 {
			t.Errorf("parseStat(%q) = %d, %d", b, state, group)
		}
		whole := append([]byte("7 ("+string(b)+") Z 1 42 "), "7 0 -1 4194304"...)
		if state, group := command.ParseStat(whole); state != 'Z' || group != 42 {
			t.Errorf("parseStat(%q) = %c, %d, want Z, 42", whole, state, group)
		}
	})
}
