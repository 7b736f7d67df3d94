// The guest watcher, in Go: see ../watcher for its exports, results and modes.
package main

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	watch "github.com/pantopic/rangewatch/sdk/go"

	"watcher_go/codes"
)

// The modes: what the handler does after it has recorded the delivery.
const (
	nothing = iota
	emitNext
	stopItself
	stopOther
	startAnother
	fail
	trap
	spin
	failInside
	failLong
	panics
)

type delivery struct {
	id    int32
	value uint64
}

var (
	deliveries    []delivery
	mode, modeArg int32
	lastCodeValue int32
)

func init() { register() }

func main() {}

//go:wasmexport register
func register() int32 { return codes.Of(watch.TryReceive(onDelivery)) }

//go:wasmexport reserve
func reserve(id int32) int32 { return codes.Of(watch.Reserve(name(id))) }

//go:wasmexport open
func open(id int32) int32 { return openRange(id, 100, 300) }

//go:wasmexport open_range
func openRange(id int32, from, to uint32) int32 {
	return codes.Of(watch.Open(name(id), key(from), key(to)))
}

//go:wasmexport open_key
func openKey(id int32, n uint32) int32 { return codes.Of(watch.OpenKey(name(id), key(n))) }

//go:wasmexport open_prefix
func openPrefix(id int32) int32 { return codes.Of(watch.OpenPrefix(name(id), []byte("test-"))) }

//go:wasmexport open_empty_key
func openEmptyKey(id int32) int32 { return codes.Of(watch.OpenKey(name(id), nil)) }

//go:wasmexport open_all
func openAll(id int32) int32 { return codes.Of(watch.OpenPrefix(name(id), nil)) }

//go:wasmexport open_big
func openBig(n uint32) int32 {
	return codes.Of(watch.OpenKey(bytes.Repeat([]byte("i"), int(n)), []byte("b")))
}

//go:wasmexport start
func start(id int32) int32 { return codes.Of(watch.Start(name(id))) }

//go:wasmexport stop
func stop(id int32) int32 { return codes.Of(watch.Stop(name(id))) }

//go:wasmexport follow
func follow(id int32) int32 {
	for _, verb := range []func(int32) int32{reserve, open, start} {
		if code := verb(id); code != 0 {
			return code
		}
	}
	return 0
}

//go:wasmexport emit
func emit(value uint64, n uint32) int32 { return codes.Of(watch.Emit(value, [][]byte{key(n)})) }

//go:wasmexport emit_loop
func emitLoop(value uint64, n, first uint32) int32 {
	keys := [][]byte{key(first), key(first + 100), key(first + 200)}
	for range n {
		if err := watch.Emit(value, keys); err != nil {
			return codes.Of(err)
		}
	}
	return 0
}

//go:wasmexport set_mode
func setMode(newMode, arg int32) { mode, modeArg = newMode, arg }

//go:wasmexport n_received
func nReceived() int64 { return int64(len(deliveries)) }

//go:wasmexport last_value
func lastValue() int64 { return receivedValue(int32(len(deliveries)) - 1) }

//go:wasmexport received_id
func receivedID(index int32) int32 {
	if index < 0 || int(index) >= len(deliveries) {
		return -1
	}
	return deliveries[index].id
}

//go:wasmexport received_value
func receivedValue(index int32) int64 {
	if index < 0 || int(index) >= len(deliveries) {
		return -1
	}
	return int64(deliveries[index].value)
}

//go:wasmexport last_code
func lastCode() int32 { return lastCodeValue }

//go:wasmexport clear
func clearDeliveries() { deliveries = nil }

func onDelivery(name []byte, value uint64) error {
	id := number(name)
	deliveries = append(deliveries, delivery{id, value})
	switch mode {
	case emitNext:
		if modeArg > 0 {
			modeArg--
			lastCodeValue = emit(value+1, 100)
		}
	case stopItself:
		lastCodeValue = stop(id)
	case stopOther:
		lastCodeValue = stop(modeArg)
	case startAnother:
		lastCodeValue = follow(modeArg)
	case fail:
		return errors.New("the watcher fails on purpose")
	case trap, panics:
		panic("the watcher panics on purpose")
	case spin:
		for {
		}
	case failInside:
		lastCodeValue = codes.Of(watch.Start([]byte("no such watch")))
	case failLong:
		return errors.New(strings.Repeat("e", int(modeArg)))
	}
	return nil
}

func name(id int32) []byte { return []byte("w" + strconv.Itoa(int(id))) }

// number is that of an id, or -1 for one that is not of this guest.
func number(name []byte) int32 {
	digits, ok := bytes.CutPrefix(name, []byte("w"))
	n, err := strconv.ParseInt(string(digits), 10, 32)
	if !ok || err != nil {
		return -1
	}
	return int32(n)
}

// key is `test-<n>`, with at least three digits.
func key(n uint32) []byte {
	digits := strconv.Itoa(int(n))
	return []byte("test-" + strings.Repeat("0", max(0, 3-len(digits))) + digits)
}
