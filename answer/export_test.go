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
	if parts := registry.Memo(s, keep).parts.Load(); parts != nil {
		return len(*parts)
	}
	return 0
}
