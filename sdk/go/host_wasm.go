//go:build wasm

package rangewatch

import "unsafe"

//go:wasmimport pantopic/wazero-range-watch __range_watch_flush
func hostFlush()

//go:wasmimport pantopic/wazero-range-watch __range_watch_reserve
func hostReserve()

//go:wasmimport pantopic/wazero-range-watch __range_watch_open
func hostOpen()

//go:wasmimport pantopic/wazero-range-watch __range_watch_start
func hostStart()

//go:wasmimport pantopic/wazero-range-watch __range_watch_stop
func hostStop()

//go:wasmimport rangewatch_io input_len
func hostInputLen() uint32

//go:wasmimport rangewatch_io input_read
func hostInputRead(to unsafe.Pointer, offset, n uint32) uint32

//go:wasmimport rangewatch_io output_write
func hostOutputWrite(from unsafe.Pointer, n uint32)

func readInput(to []byte, offset int) int {
	return int(hostInputRead(unsafe.Pointer(unsafe.SliceData(to)), uint32(offset), uint32(len(to))))
}

func writeOutput(bytes []byte) {
	hostOutputWrite(unsafe.Pointer(unsafe.SliceData(bytes)), uint32(len(bytes)))
}
