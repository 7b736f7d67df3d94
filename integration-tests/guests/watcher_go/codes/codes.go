// Package codes has the results of the exports of the guests: see ../../codes.
package codes

import (
	"errors"

	watch "github.com/pantopic/rangewatch/sdk/go"
)

// Of is the number of a result.
func Of(err error) int32 {
	if err == nil {
		return 0
	}
	if errors.Is(err, watch.ErrGroupNotFound) {
		return 11
	}
	for code, known := range []error{
		watch.ErrExists,
		watch.ErrNotFound,
		watch.ErrAlreadyOpen,
		watch.ErrClosed,
		watch.ErrTooLong,
		watch.ErrEmptyRange,
		watch.ErrUnbounded,
		watch.ErrHandlerExists,
	} {
		if errors.Is(err, known) {
			return int32(code) + 1
		}
	}
	return 9
}
