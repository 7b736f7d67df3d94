// A guest that emits and watches.
package main

import watch "github.com/pantopic/rangewatch/sdk/go"

var last uint64

// Once on each instance.
func init() {
	must(watch.Receive(func(id []byte, value uint64) { last = value }))
}

func main() {}

// Two keys have changed.
//
//go:wasmexport apply
func apply(revision uint64) {
	must(watch.Emit(revision, [][]byte{[]byte("test-100"), []byte("test-200")}))
}

// Watches a range of keys.
//
//go:wasmexport follow
func follow() {
	id := []byte("w1")
	must(watch.Open(id, []byte("test-100"), []byte("test-300")))
	must(watch.Start(id))
}

// The value that the watch received last, or 0.
//
//go:wasmexport received
func received() uint64 { return last }

// Ends the call with the reason, which Go writes to stderr.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
