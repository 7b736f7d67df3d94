// Package gen2 is generation 2 of the guest ABI: every value is delivered, in batches; emits are
// queued and flushed; and a guest divides its watches into groups.
//
// A guest is of one generation: it uses the verbs and the handler of this package, or those of
// package [rangewatch], never both. The errors, and the functions that pass bytes, are those of
// package rangewatch for both. A guest that uses one generation imports nothing of the other.
//
// # Emits
//
// [Queue] gathers a value with keys, [Flush] emits all that was gathered, [Clear] drops it. The
// keys of one value are one emit, and several values take effect together, in their order, or not
// at all. What is gathered belongs to the instance and stays until Flush or Clear, also when the
// call returns: a guest may queue in each command and flush after the commit. It is gone with the
// instance.
//
// # Batches
//
// Every value of every watch is delivered, in the order of the emits. A delivery is a [Batch] of
// notices, each a value with the ids of the watches that it matches. A notice with more ids than
// fit into one batch goes on in the next one, with the same value.
//
// A group whose notices pile up beyond a bound of the host ends, with its watches. What was pending
// is delivered first, and the host, not the guest, learns from which value to resume. The verbs
// return [rangewatch.ErrClosed] in a group that has ended; one that the guest has started can be
// started again.
//
// # Groups
//
// [GroupStart] opens a group and selects it for the rest of the call: [Reserve], [Open], [Start]
// and [Stop] are of it, and ids are unique within it. Each call begins in the group that the host
// assigns to the guest, and the handler in the group of its batch. [GroupStop] ends a group with
// its watches. Groups do not nest.
package gen2

import (
	rangewatch "github.com/pantopic/rangewatch/sdk/go"
	"github.com/pantopic/rangewatch/sdk/go/internal/guest"
)

// Queue gathers a value and keys for the next [Flush]. It passes the keys to the host in one call,
// or in several with the same value when they do not fit into the buffer; without keys it does
// nothing. What is gathered for one value in a row is one emit, also by several calls of Queue. It
// allocates nothing.
//
// It traps when what is gathered exceeds a limit of the host: 16,384 keys or 256 KiB unless it was
// built with others.
//
// Errors: [rangewatch.ErrTooLong] for a key of more than [rangewatch.MaxKeyBytes], and then nothing
// is gathered; [rangewatch.ErrNoHost].
func Queue(value uint64, keys [][]byte) error { return guest.Send(value, keys, hostQueue) }

// Flush emits what was gathered: to every watch, of any guest on the bus, whose range contains one
// of its keys. Without anything gathered it does nothing.
//
// It traps when the host refuses one of the emits, of which none has then taken effect: the bus is
// closed, has history and a greater value already, or the emits match more watches than the host
// allows in one flush, 16,384 by default.
//
// Errors: [rangewatch.ErrNoHost].
func Flush() error { return call(hostFlush) }

// Clear drops what was gathered, such as when the commands that queued it are not committed.
//
// Errors: [rangewatch.ErrNoHost].
func Clear() error { return call(hostClear) }

func call(host func()) error {
	if !guest.HasHost {
		return rangewatch.ErrNoHost
	}
	host()
	return nil
}

// GroupStart selects a group for the rest of this call, and opens it if it is not open.
//
// The verbs that follow in this call, or in this run of the handler, are of the group, until
// another one is selected or this one is stopped by [GroupStop]. A group stays open when the call
// returns: another call selects it by the same id. It belongs to the group that the host has
// assigned to the guest, and ends with that.
//
// Errors: [rangewatch.ErrTooLong]: the id has more than [rangewatch.BufBytes].
// [rangewatch.ErrClosed], or another one of the host, such as for too many groups.
// [rangewatch.ErrNoHost].
func GroupStart(id []byte) error { return guest.Apply(id, hostGroupStart) }

// GroupStop ends a group: its watches and what is pending for them are freed at once.
//
// The handler is not entered for the group after the call returns. If it is running for the group
// on another instance, the call does not wait for it. If the group is selected, the verbs that
// follow are of the group that the call began in.
//
// Errors: [rangewatch.ErrGroupNotFound]: no group of this id is open. [rangewatch.ErrTooLong]: the
// id has more than [rangewatch.BufBytes]. [rangewatch.ErrClosed], or another one of the host.
// [rangewatch.ErrNoHost].
func GroupStop(id []byte) error { return guest.Apply(id, hostGroupStop) }

// Reserve reserves an id in the group of this call. Nothing is watched yet.
//
// Errors: as of [rangewatch.Reserve].
func Reserve(id []byte) error { return guest.Apply(id, hostReserve) }

// Open opens a watch of the keys from one, inclusive, to another, exclusive, under a free or
// reserved id. An end that is empty or equal to the start means exactly the key from, as in
// [OpenKey]. The notices of what matches are held until [Start].
//
// Errors: as of [rangewatch.Open].
func Open(id, from, to []byte) error { return guest.Open(id, from, to, hostOpen) }

// OpenKey opens a watch of exactly one key, which may be empty. Errors as for [Open].
func OpenKey(id, key []byte) error { return Open(id, key, nil) }

// OpenPrefix opens a watch of every key that begins with a prefix. Errors as for [Open], and
// [rangewatch.ErrUnbounded] for a prefix that is empty or has only bytes 0xFF.
func OpenPrefix(id, prefix []byte) error { return guest.OpenPrefix(id, prefix, hostOpen) }

// Start starts an open watch: it delivers the notices that were held since [Open], and then those
// that follow.
//
// What was held may be older than what another watch of the group has received already. Starting a
// started watch has no effect.
//
// Errors: as of [rangewatch.Start].
func Start(id []byte) error { return guest.Apply(id, hostStart) }

// Stop ends a reserved, open or started watch and frees its id.
//
// No batch that is delivered after the call returns names the watch. If the handler is running on
// another instance with a batch that names it, the call waits for it; inside a handler it never
// waits.
//
// Errors: as of [rangewatch.Stop].
func Stop(id []byte) error { return guest.Apply(id, hostStop) }

// Receive registers the handler: the function that the host calls with a batch of notices.
//
// The handler may call everything in this package: queue and flush, even into the range of a watch
// of the batch, and open, start or stop watches and groups. Its verbs are of the group of the batch
// until it selects another one. It must not wait for another goroutine that waits for a call of the
// host. Batches of one group never overlap; those of several groups may be delivered on several
// instances at a time. The handler is registered once per instance, for all watches, and cannot be
// replaced.
//
// A delivery to an instance without a handler is an error, for which the host closes the watches of
// the batch.
//
// Errors: [rangewatch.ErrHandlerExists]: this instance already has a handler, which stays.
// [rangewatch.ErrNoHost].
func Receive(fn func(batch Batch)) error {
	return TryReceive(func(batch Batch) error {
		fn(batch)
		return nil
	})
}

// TryReceive is Receive, with a function that can fail.
//
// The text of an error is reported to the host, cut to [rangewatch.ErrBytes]. The host closes the
// watches of the batch; other watches and the instance stay.
func TryReceive(fn func(batch Batch) error) error {
	return guest.Register(func() error {
		// The verbs that the handler calls overwrite the buffer.
		n := copy(delivered[:], guest.Delivered())
		batch, ok := parse(delivered[:n])
		if !ok {
			return errNoBatch
		}
		return fn(batch)
	})
}

var delivered [guest.BufBytes]byte
