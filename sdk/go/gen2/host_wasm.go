//go:build wasm

package gen2

//go:wasmimport pantopic/ext-range-watch __range_watch_queue
func hostQueue()

//go:wasmimport pantopic/ext-range-watch __range_watch_flush
func hostFlush()

//go:wasmimport pantopic/ext-range-watch __range_watch_clear
func hostClear()

//go:wasmimport pantopic/ext-range-watch __range_watch_reserve
func hostReserve()

//go:wasmimport pantopic/ext-range-watch __range_watch_open
func hostOpen()

//go:wasmimport pantopic/ext-range-watch __range_watch_start
func hostStart()

//go:wasmimport pantopic/ext-range-watch __range_watch_stop
func hostStop()

//go:wasmimport pantopic/ext-range-watch __range_watch_group_start
func hostGroupStart()

//go:wasmimport pantopic/ext-range-watch __range_watch_group_stop
func hostGroupStop()
