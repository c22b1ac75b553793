package answer

import (
	"sync/atomic"
	"unsafe"

	"github.com/musterhq/muster/registry"
)

// MemoSize is what the slot for what is kept takes of each service.
const MemoSize = unsafe.Sizeof(atomic.Value{})

// KeptParts returns how many parts are kept of a service.
func KeptParts(s *registry.Service) int {
	large := registry.Memo(s, keep).whole.large
	if large == nil || large.parts.Load() == nil {
		return 0
	}
	return len(*large.parts.Load())
}
