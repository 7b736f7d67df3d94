// The guest notices, in Go: see ../notices for its exports, results and modes.
package main

import (
	"bytes"
	"errors"

	watch "github.com/pantopic/rangewatch/sdk/go/gen2"

	"watcher_go/codes"
)

// The modes: what the handler does after it has recorded the batch.
const (
	nothing = iota
	emit
	stopWatch
	followInGroup
	fail
	failInside
	panics
)

type record struct {
	value uint64
	id    int32
}

var (
	records       []record
	batches       int32
	mode, modeArg int32
	lastCodeValue int32
)

func init() { register() }

func main() {}

//go:wasmexport register
func register() int32 { return codes.Of(watch.TryReceive(onBatch)) }

//go:wasmexport queue
func queue(value uint64, n int32) int32 { return codes.Of(watch.Queue(value, [][]byte{key(n)})) }

//go:wasmexport queue_long
func queueLong(value uint64, n uint32) int32 {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = bytes.Repeat([]byte("k"), 1000)
	}
	return codes.Of(watch.Queue(value, keys))
}

//go:wasmexport flush
func flush() int32 { return codes.Of(watch.Flush()) }

//go:wasmexport clear
func clearQueue() int32 { return codes.Of(watch.Clear()) }

//go:wasmexport reserve
func reserve(n int32) int32 { return codes.Of(watch.Reserve(id(n))) }

//go:wasmexport open
func open(n int32) int32 { return codes.Of(watch.OpenPrefix(id(n), []byte("k"))) }

//go:wasmexport open_key
func openKey(n, exact int32) int32 { return codes.Of(watch.OpenKey(id(n), key(exact))) }

//go:wasmexport open_range
func openRange(n, from, to int32) int32 { return codes.Of(watch.Open(id(n), key(from), key(to))) }

//go:wasmexport start
func start(n int32) int32 { return codes.Of(watch.Start(id(n))) }

//go:wasmexport stop
func stop(n int32) int32 { return codes.Of(watch.Stop(id(n))) }

//go:wasmexport follow
func follow(n int32) int32 {
	if code := open(n); code != 0 {
		return code
	}
	return start(n)
}

//go:wasmexport group_start
func groupStart(n int32) int32 { return codes.Of(watch.GroupStart(group(n))) }

//go:wasmexport group_stop
func groupStop(n int32) int32 { return codes.Of(watch.GroupStop(group(n))) }

//go:wasmexport group_start_long
func groupStartLong(n uint32) int32 {
	return codes.Of(watch.GroupStart(bytes.Repeat([]byte("G"), int(n))))
}

//go:wasmexport follow_in
func followIn(group, n int32) int32 {
	if code := groupStart(group); code != 0 {
		return code
	}
	return follow(n)
}

//go:wasmexport stop_in
func stopIn(group, n int32) int32 {
	if code := groupStart(group); code != 0 {
		return code
	}
	return stop(n)
}

//go:wasmexport set_mode
func setMode(newMode, arg int32) { mode, modeArg = newMode, arg }

//go:wasmexport n_batches
func nBatches() int32 { return batches }

//go:wasmexport n_received
func nReceived() int32 { return int32(len(records)) }

//go:wasmexport received_id
func receivedID(index int32) int32 {
	if index < 0 || int(index) >= len(records) {
		return -1
	}
	return records[index].id
}

//go:wasmexport received_value
func receivedValue(index int32) int64 {
	if index < 0 || int(index) >= len(records) {
		return -1
	}
	return int64(records[index].value)
}

//go:wasmexport last_code
func lastCode() int32 { return lastCodeValue }

//go:wasmexport forget
func forget() { records, batches = nil, 0 }

func onBatch(batch watch.Batch) error {
	batches++
	last := uint64(0)
	for notice := range batch.Notices() {
		last = notice.Value
		for id := range notice.IDs() {
			records = append(records, record{notice.Value, number(id)})
		}
	}
	switch mode {
	case emit:
		if modeArg > 0 {
			modeArg--
			queue(last+1, 0)
			lastCodeValue = flush()
		}
	case stopWatch:
		lastCodeValue = stop(modeArg)
	case followInGroup:
		lastCodeValue = followIn(modeArg, 0)
	case fail:
		return errors.New("the guest fails on purpose")
	case failInside:
		lastCodeValue = groupStop(25)
	case panics:
		panic("the guest panics on purpose")
	}
	return nil
}

func id(n int32) []byte    { return []byte{'a' + byte(n)} }
func group(n int32) []byte { return []byte{'A' + byte(n)} }
func key(n int32) []byte   { return []byte{'k', 'a' + byte(n)} }

// number is that of an id, or -1 for one that is not of this guest.
func number(id []byte) int32 {
	if len(id) != 1 {
		return -1
	}
	return int32(id[0]) - 'a'
}
