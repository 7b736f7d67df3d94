//go:build !wasm

package rangewatch

// Outside of a guest there is no host. Tests put functions of their own there.
var (
	hostFlush    = func() {}
	hostReserve  = func() {}
	hostOpen     = func() {}
	hostStart    = func() {}
	hostStop     = func() {}
	hostInputLen = func() uint32 { return 0 }
	readInput    = func(to []byte, offset int) int { return 0 }
	writeOutput  = func(bytes []byte) {}
)
