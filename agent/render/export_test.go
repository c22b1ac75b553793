package render

import (
	"testing"
	"time"
)

// TakeTime lets renderings take long for the time of a test.
func TakeTime(t *testing.T) {
	t.Helper()
	was := maxTime
	maxTime = time.Hour
	t.Cleanup(func() { maxTime = was })
}
