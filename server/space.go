package server

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// units of a size, by the letters behind the number.
var units = map[string]float64{
	"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TB": 1e12, "TIB": 1 << 40, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30,
}

// Bounds of the quota: etcd needs some room to work in, and warns above 8 GiB.
const (
	leastQuota = 16 << 20
	mostQuota  = 64 << 30
)

// parseSize returns the bytes that a text such as 256MiB means.
func parseSize(s string) (uint64, error) {
	end := strings.LastIndexAny(s, "0123456789.") + 1
	n, err := strconv.ParseFloat(s[:end], 64)
	unit, known := units[strings.ToUpper(strings.TrimSpace(s[end:]))]
	if err != nil || !known || n < 0 || n*unit > math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size such as 256MiB", s)
	}
	return uint64(n * unit), nil
}

// space returns a function that says whether the disk of dir has room left, as
// etcd ends its process when it meets the end of the disk. It is nil where
// nothing is asked for.
func space(dir string, least uint64) func() error {
	if least == 0 {
		return nil
	}
	return func() error {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			return nil // says nothing about room; etcd will meet what is wrong there
		}
		if free := st.Bavail * uint64(st.Bsize); free < least {
			return fmt.Errorf("the disk of %s has %d MiB left, less than the %d MiB of min_free: nothing is written until there is room",
				dir, free>>20, least>>20)
		}
		return nil
	}
}
