package rangewatch

import (
	"errors"
	"strconv"
)

// Why a call had no effect. A text of the host that this version does not know is an error of its
// own, that begins with "the host refused: ".
var (
	// ErrExists: the id is reserved, open or started.
	ErrExists = errors.New("the id is in use: stop it or choose another")
	// ErrNotFound: the id is free, or it is reserved and the call needs an open watch.
	ErrNotFound = errors.New("no such watch: open it first")
	// ErrAlreadyOpen: the id is open or started; its first range stays.
	ErrAlreadyOpen = errors.New("the watch is already open: stop it to change its range")
	// ErrClosed: the watch, or the bus or group that it belongs to, has ended.
	ErrClosed = errors.New("the watch is closed: open it again")
	// ErrTooLong: a key, or what a watch is opened with, does not fit into the buffer that is shared
	// with the host. The error of a call is a *TooLongError, of which errors.Is says that it is this
	// one.
	ErrTooLong = errors.New("too long")
	// ErrEmptyRange: no key is in the range, as its start is above its end.
	ErrEmptyRange = errors.New("the range holds no key: its start must be below its end")
	// ErrUnbounded: the range has no upper end, which this generation of the ABI cannot encode.
	ErrUnbounded = errors.New("the range has no upper end: give it one")
	// ErrHandlerExists: a handler is already registered on this instance.
	ErrHandlerExists = errors.New("a handler is already registered: register once per instance")
	// ErrNoHost: this program is not a WebAssembly guest.
	ErrNoHost = errors.New("there is no host: run this program as a WebAssembly guest")
)

// TooLongError says how many bytes do not fit.
type TooLongError struct {
	// Bytes is the length of the key or id, or of id, from and to together.
	Bytes int
	// Max is the limit, inclusive.
	Max int
}

func (e *TooLongError) Error() string {
	return strconv.Itoa(e.Bytes) + " bytes do not fit, at most " + strconv.Itoa(e.Max) +
		" do: use a shorter key or id"
}

// Is says that it is ErrTooLong.
func (e *TooLongError) Is(target error) bool { return target == ErrTooLong }

func checkLength(n, max int) error {
	if n > max {
		return &TooLongError{Bytes: n, Max: max}
	}
	return nil
}

// hostError is the error that the host has written, if there is one.
func hostError() error {
	if errLen == 0 {
		return nil
	}
	// The compiler compares without a copy.
	switch text := errBuf[:min(errLen, ErrBytes)]; string(text) {
	case watchExists:
		return ErrExists
	case watchNotFound:
		return ErrNotFound
	case watchAlreadyOpen:
		return ErrAlreadyOpen
	case watchClosed:
		return ErrClosed
	default:
		return errors.New("the host refused: " + string(text))
	}
}
