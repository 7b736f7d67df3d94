//go:build !wasm

package gen2

// Outside of a guest there is no host. Tests put functions of their own there.
var (
	hostQueue      = func() {}
	hostFlush      = func() {}
	hostClear      = func() {}
	hostReserve    = func() {}
	hostOpen       = func() {}
	hostStart      = func() {}
	hostStop       = func() {}
	hostGroupStart = func() {}
	hostGroupStop  = func() {}
)
