// Package rangewatch lets a WebAssembly guest emit and watch byte-key ranges, and answer calls with
// bytes.
//
// An emit carries a uint64 value, usually the revision of the guest's store, and the byte keys that
// changed. A watch covers one range of keys: when an emit of any guest on the bus has a key in the
// range, the host calls the handler of this guest with the id of the watch and a value. There is no
// payload: the guest reads its store from that value on.
//
// # States of a watch
//
// An id is free, reserved, open or started. Ids are unique within the group that the host assigns
// to the guest.
//
//   - [Reserve]: from free to reserved; in any other state [ErrExists].
//   - [Open]: from free or reserved to open, where matching emits are held; in any other state
//     [ErrAlreadyOpen], and the first range stays.
//   - [Start]: from open to started, where matching emits are delivered; a second start does
//     nothing; in any other state [ErrNotFound].
//   - [Stop]: from reserved, open or started to free; of a free one [ErrNotFound].
//
// To follow a store without a gap: reserve the id, scan the store, open the watch, scan what was
// added since, start.
//
// A delivery carries the first value that matched since the handler was last entered for that
// watch. Later values are coalesced into it until the handler is entered again: the value is a
// lower bound, and a scan of the store from that value on finds them all.
//
// # Generations of the ABI
//
// The verbs and the handler of this package are of generation 1 of the guest ABI. Package gen2 has
// those of generation 2, which delivers every value: a guest uses the one or the other.
//
// # One guest, several instances
//
// A host may run callbacks on another instance of the module than the one that opened the watch. A
// handler is registered per instance, so register it in func init, which runs once on each.
//
// # Building a guest
//
// The functions that a host calls have a line //go:wasmexport with their name:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o guest.wasm .
//
// The Go runtime needs WASI, which the host gives the guest. A panic ends the instance: its text
// and the stack are on stderr, and the host adds the text of one in a handler or in [Answer] to its
// own error. Guests are called by one thread at a time.
package rangewatch

import (
	"bytes"

	"github.com/pantopic/rangewatch/sdk/go/internal/guest"
)

// Emit sends the value to the watches of all keys. It reports the keys in one flush, or in several
// with the same value when they do not fit into the buffer; without keys it does nothing. It
// allocates nothing.
//
// Errors: [ErrTooLong] for a key of more than [MaxKeyBytes], and then nothing is emitted;
// [ErrNoHost].
func Emit(value uint64, keys [][]byte) error { return guest.Send(value, keys, hostFlush) }

// Reserve reserves an id in the group of this guest. Nothing is watched yet.
//
// Errors: [ErrExists]: the id is reserved, open or started. [ErrTooLong]: the id has more than
// [BufBytes]. [ErrClosed], or another one of the host. [ErrNoHost].
func Reserve(id []byte) error { return guest.Apply(id, hostReserve) }

// Open opens a watch of the keys from one, inclusive, to another, exclusive, under a free or
// reserved id. An end that is empty or equal to the start means exactly the key from, as in
// [OpenKey]. Emits that match are held until [Start].
//
// Errors: [ErrAlreadyOpen]: the id is open or started; its first range stays. [ErrEmptyRange]: the
// start is above the end. [ErrTooLong]: id and bounds together have more than [MaxOpenBytes].
// [ErrClosed], or another one of the host. [ErrNoHost].
func Open(id, from, to []byte) error { return guest.Open(id, from, to, hostOpen) }

// OpenKey opens a watch of exactly one key, which may be empty. Errors as for [Open].
func OpenKey(id, key []byte) error { return Open(id, key, nil) }

// OpenPrefix opens a watch of every key that begins with a prefix. Errors as for [Open], and
// [ErrUnbounded] for a prefix that is empty or has only bytes 0xFF.
func OpenPrefix(id, prefix []byte) error { return guest.OpenPrefix(id, prefix, hostOpen) }

// Start starts an open watch: it delivers the first value that was held since [Open], if any, and
// then those that follow. Starting a started watch has no effect.
//
// Errors: [ErrNotFound]: the id is free, or reserved and not open. [ErrTooLong]: the id has more
// than [BufBytes]. [ErrClosed], or another one of the host. [ErrNoHost].
func Start(id []byte) error { return guest.Apply(id, hostStart) }

// Stop ends a reserved, open or started watch and frees its id.
//
// The handler is not entered for this watch after the call returns. If the handler of this watch
// is running on another instance, the call waits for it; inside a handler it never waits.
//
// Errors: [ErrNotFound]: the id is free. [ErrTooLong]: the id has more than [BufBytes].
// [ErrClosed], or another one of the host. [ErrNoHost].
func Stop(id []byte) error { return guest.Apply(id, hostStop) }

// Receive registers the handler: the function that the host calls with the id of a watch and a
// value.
//
// The value is the first one that matched since the handler was last entered for that watch; a scan
// of the store from it finds the later ones. The handler may call everything in this package:
// emit, even into the range of its own watch, and open, start or stop watches, its own included. It
// must not wait for another goroutine that waits for a call of the host. It is registered once per
// instance, for all watches, and cannot be replaced; the id is the handler's to keep. It is of
// watches that the verbs of this package open; with those of gen2 the id would be a batch.
//
// A delivery to an instance without a handler is an error, for which the host closes the watch.
//
// Errors: [ErrHandlerExists]: this instance already has a handler, which stays. [ErrNoHost].
func Receive(fn func(id []byte, value uint64)) error {
	return TryReceive(func(id []byte, value uint64) error {
		fn(id, value)
		return nil
	})
}

// TryReceive is Receive, with a function that can fail.
//
// The text of an error is reported to the host, cut to [ErrBytes]. The host closes the watch of the
// delivery; other watches and the instance stay.
func TryReceive(fn func(id []byte, value uint64) error) error {
	return guest.Register(func() error { return fn(bytes.Clone(guest.Delivered()), guest.Val) })
}

// Answer passes the input of this call to a function, and makes what it returns the output. For an
// export without parameters and results that the host calls with bytes.
//
// Errors: [ErrNoHost].
func Answer(apply func(input []byte) []byte) error {
	defer guest.ReportPanic()
	input, err := Input()
	if err != nil {
		return err
	}
	return Output(apply(input))
}

// Input returns the bytes that the host called with, none outside of such a call.
//
// Errors: [ErrNoHost].
func Input() ([]byte, error) {
	if !guest.HasHost {
		return nil, ErrNoHost
	}
	input := make([]byte, hostInputLen())
	read := 0
	for read < len(input) {
		n := readInput(input[read:], read)
		if n == 0 {
			break
		}
		read += n
	}
	return input[:read], nil
}

// Output appends to what the host gets as the answer. The host bounds it, by 1 MiB unless it was
// built with another limit, and ends the instance at more, or outside of a call with bytes.
//
// Errors: [ErrNoHost].
func Output(bytes []byte) error {
	if !guest.HasHost {
		return ErrNoHost
	}
	writeOutput(bytes)
	return nil
}
