// Package grpc_test has many clients of Nacos 2 and 3 follow what changes on real
// servers, over gRPC.
package grpc_test

import (
	"os"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m, "../..")) }
