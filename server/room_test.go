package server_test

import (
	"math"
	"testing"

	"github.com/musterhq/muster/server"
)

func TestThoseWhoWaitLeaveRoom(t *testing.T) {
	for _, test := range []struct{ files, polls uint64 }{
		{1024, 560}, {20_000, 10_937}, {65_536, 35_840}, {math.MaxUint64, 35_840},
	} {
		connections, polls, others := server.RoomOf(test.files)
		if polls != int(test.polls) {
			t.Errorf("%d files: %d polls, want %d", test.files, polls, test.polls)
		}
		if free := connections - polls - others; free < connections/7 || uint64(connections) > test.files-test.files/8 {
			t.Errorf("%d files: %d connections, of which those who wait leave %d", test.files, connections, free)
		}
	}
}
