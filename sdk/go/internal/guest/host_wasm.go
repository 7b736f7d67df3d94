//go:build wasm

package guest

import "unsafe"

// HasHost is true in a guest.
const HasHost = true

// meta is the meta page.
var meta [7]uint32

//go:wasmexport __range_watch
func exportMeta() uint32 {
	meta = [7]uint32{
		address(unsafe.Pointer(&Buf)),
		address(unsafe.Pointer(&bufCap)),
		address(unsafe.Pointer(&BufLen)),
		address(unsafe.Pointer(&errBuf)),
		address(unsafe.Pointer(&errCap)),
		address(unsafe.Pointer(&errLen)),
		address(unsafe.Pointer(&Val)),
	}
	return address(unsafe.Pointer(&meta))
}

func address(p unsafe.Pointer) uint32 { return uint32(uintptr(p)) }

//go:wasmexport __range_watch_recv
func exportRecv() { Deliver() }
