package guest

import (
	"errors"
	"strconv"
)

// Errors of both generations, which package rangewatch documents.
var (
	ErrExists        = errors.New("the id is in use: stop it or choose another")
	ErrNotFound      = errors.New("no such watch: open it first")
	ErrAlreadyOpen   = errors.New("the watch is already open: stop it to change its range")
	ErrClosed        = errors.New("the watch is closed: open it again")
	ErrGroupNotFound = errors.New("no such group: start it first")
	ErrTooLong       = errors.New("too long")
	ErrEmptyRange    = errors.New("the range holds no key: its start must not be above its end")
	ErrUnbounded     = errors.New("the range has no upper end: give it one")
	ErrHandlerExists = errors.New("a handler is already registered: register once per instance")
	ErrNoHost        = errors.New("there is no host: run this program as a WebAssembly guest")
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
	switch text := Err(); string(text) {
	case watchExists:
		return ErrExists
	case watchNotFound:
		return ErrNotFound
	case watchAlreadyOpen:
		return ErrAlreadyOpen
	case watchClosed:
		return ErrClosed
	case groupNotFound:
		return ErrGroupNotFound
	default:
		return errors.New("the host refused: " + string(text))
	}
}
