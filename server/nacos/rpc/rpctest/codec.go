package rpctest

import (
	"errors"

	"google.golang.org/grpc/mem"

	"github.com/musterhq/muster/server/nacos/rpc"
)

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	p, ok := v.(*rpc.Payload)
	if !ok {
		return nil, errors.New("no payload")
	}
	return mem.BufferSlice{mem.SliceBuffer(p.Append(nil))}, nil
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) (err error) {
	p, ok := v.(*rpc.Payload)
	if !ok {
		return errors.New("no payload")
	}
	*p, err = rpc.ParsePayload(data.Materialize())
	return err
}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }
