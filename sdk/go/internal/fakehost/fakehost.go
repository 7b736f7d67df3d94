//go:build !wasm

// Package fakehost has a host for the tests of the packages that have imports.
package fakehost

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pantopic/rangewatch/sdk/go/internal/guest"
)

// Host is the host until a test ends, and records what it is called with.
type Host struct {
	// Values and Lists are those that were sent.
	Values []uint64
	Lists  [][]byte
	// Applied is each verb with its arguments.
	Applied []string
	// Reply is the error text of each verb.
	Reply string

	t testing.TB
}

// New is a host whose functions are where the imports are: send where values and keys are sent, and
// the others by their names.
func New(t testing.TB, send *func(), verbs map[string]*func()) *Host {
	h := &Host{t: t}
	replace(t, send, h.send)
	for name, verb := range verbs {
		replace(t, verb, h.verb(name))
	}
	guest.HasHost = true
	t.Cleanup(guest.Reset)
	return h
}

func replace(t testing.TB, host *func(), by func()) {
	old := *host
	t.Cleanup(func() { *host = old })
	*host = by
}

func (h *Host) send() {
	h.Values = append(h.Values, guest.Val)
	h.Lists = append(h.Lists, bytes.Clone(guest.Delivered()))
}

func (h *Host) verb(name string) func() {
	return func() {
		if len(guest.Err()) != 0 {
			h.t.Errorf("%s is called with an error text", name)
		}
		h.Applied = append(h.Applied, name+" "+string(guest.Delivered()))
		guest.SetErr(h.Reply)
	}
}

// Keys are those of all lists, in order.
func (h *Host) Keys() (keys [][]byte) {
	for _, list := range h.Lists {
		for len(list) > 0 {
			n := int(binary.BigEndian.Uint16(list))
			keys = append(keys, list[2:2+n])
			list = list[2+n:]
		}
	}
	return keys
}

// Must ends a test at an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
