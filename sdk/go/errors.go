package rangewatch

import "github.com/pantopic/rangewatch/sdk/go/internal/guest"

// Limits of the guest ABI, in bytes.
const (
	// BufBytes is the capacity of the buffer that is shared with the host, and the longest id that
	// Reserve takes.
	BufBytes = guest.BufBytes
	// ErrBytes is the capacity of the error text. A longer text is truncated.
	ErrBytes = guest.ErrBytes
	// MaxKeyBytes is the longest key, inclusive: what fits into the buffer alone.
	MaxKeyBytes = guest.MaxKeyBytes
	// MaxOpenBytes is the most that id, from and to of one Open may have together, inclusive.
	MaxOpenBytes = guest.MaxOpenBytes
	// MaxInputReadBytes is the most that the host copies of an input at once, inclusive.
	MaxInputReadBytes = guest.MaxInputReadBytes
)

// Why a call had no effect. A text of the host that this version does not know is an error of its
// own, that begins with "the host refused: ".
var (
	// ErrExists: the id is reserved, open or started.
	ErrExists = guest.ErrExists
	// ErrNotFound: the id is free, or it is reserved and the call needs an open watch.
	ErrNotFound = guest.ErrNotFound
	// ErrAlreadyOpen: the id is open or started; its first range stays.
	ErrAlreadyOpen = guest.ErrAlreadyOpen
	// ErrClosed: the watch, or the bus or group that it belongs to, has ended.
	ErrClosed = guest.ErrClosed
	// ErrGroupNotFound: no group of this id is open. Of generation 2.
	ErrGroupNotFound = guest.ErrGroupNotFound
	// ErrTooLong: a key, or what a watch is opened with, does not fit into the buffer that is shared
	// with the host. The error of a call is a *TooLongError, of which errors.Is says that it is this
	// one.
	ErrTooLong = guest.ErrTooLong
	// ErrEmptyRange: no key is in the range, as its start is above its end.
	ErrEmptyRange = guest.ErrEmptyRange
	// ErrUnbounded: the range has no upper end, which this ABI cannot encode.
	ErrUnbounded = guest.ErrUnbounded
	// ErrHandlerExists: a handler is already registered on this instance.
	ErrHandlerExists = guest.ErrHandlerExists
	// ErrNoHost: this program is not a WebAssembly guest.
	ErrNoHost = guest.ErrNoHost
)

// TooLongError says how many bytes do not fit.
type TooLongError = guest.TooLongError
