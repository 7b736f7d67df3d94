//go:build !wasm

package guest

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FakeHost is the host until a test ends, and records what it is called with. The test puts its
// functions where the imports are.
type FakeHost struct {
	// Values and Lists are those of each Send.
	Values []uint64
	Lists  [][]byte
	// Applied is each verb with its arguments.
	Applied []string
	// Reply is the error text of each verb.
	Reply string

	t testing.TB
}

// NewFakeHost begins without a handler.
func NewFakeHost(t testing.TB) *FakeHost {
	HasHost = true
	t.Cleanup(func() { HasHost, handler = false, nil })
	return &FakeHost{t: t}
}

// Send is the import that takes a value and keys.
func (h *FakeHost) Send() {
	h.Values = append(h.Values, Val)
	h.Lists = append(h.Lists, bytes.Clone(Delivered()))
}

// Verb is the import of a verb.
func (h *FakeHost) Verb(name string) func() {
	return func() {
		if errLen != 0 {
			h.t.Errorf("%s is called with an error text", name)
		}
		h.Applied = append(h.Applied, name+" "+string(Delivered()))
		SetErr(h.Reply)
	}
}

// Keys are those of all lists, in order.
func (h *FakeHost) Keys() (keys [][]byte) {
	for _, list := range h.Lists {
		for len(list) > 0 {
			n := int(binary.BigEndian.Uint16(list))
			keys = append(keys, list[2:2+n])
			list = list[2+n:]
		}
	}
	return keys
}
