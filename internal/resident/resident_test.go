package resident

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const smaps = `00400000-018d0000 r-xp 00000000 fe:00 9986076      /opt/a program
Size:              21312 kB
Rss:               17856 kB
Private_Clean:     17856 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
02e79000-02f44000 r--p 02a79000 fe:00 9986076      /opt/a program
Rss:                 684 kB
Private_Dirty:        12 kB
Anonymous:            12 kB
673c00000-674800000 rw-p 00000000 00:00 0
Rss:                6376 kB
`

func TestMappings(t *testing.T) {
	got, err := mappings(strings.NewReader(smaps))
	if err != nil {
		t.Fatal(err)
	}
	want := []mapping{
		{start: 0x400000, end: 0x18d0000, access: "r-xp", path: "/opt/a program", resident: 17856 << 10},
		{start: 0x2e79000, end: 0x2f44000, access: "r--p", path: "/opt/a program", resident: 684 << 10, own: 12 << 10},
		{start: 0x673c00000, end: 0x674800000, access: "rw-p", resident: 6376 << 10},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mapping{})); diff != "" {
		t.Errorf("mappings (-want +got):\n%s", diff)
	}
	for i, clean := range []bool{true, false, false} {
		if got[i].clean() != clean {
			t.Errorf("clean of mapping %d = %v, want %v", i, got[i].clean(), clean)
		}
	}
	for _, wrong := range []string{"00400000 r-xp 0 0 0 x", "zz-01 r-xp 0 0 0 x", "02-01 r-xp 0 0 0 x", "01-02 r-xp"} {
		if _, err := mappings(strings.NewReader(wrong)); err == nil {
			t.Errorf("mappings of %q = nil error, want one", wrong)
		}
	}
}

func TestShed(t *testing.T) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	resident := func() (sum int64) {
		f, err := os.Open("/proc/self/smaps")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		all, err := mappings(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if m.path == program && m.clean() {
				sum += m.resident
			}
		}
		return sum
	}
	before := resident()
	shed, err := Shed()
	after := resident()
	if err != nil || shed == 0 || after >= before {
		t.Errorf("Shed = %d, %v; of the program %d bytes were in memory, and are %d", shed, err, before, after)
	}
}
