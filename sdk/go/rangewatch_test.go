//go:build !wasm

package rangewatch

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pantopic/rangewatch/sdk/go/internal/fakehost"
	"github.com/pantopic/rangewatch/sdk/go/internal/guest"
)

func newFakeHost(t *testing.T) *fakehost.Host {
	return fakehost.New(t, &hostFlush, map[string]*func(){
		"reserve": &hostReserve, "open": &hostOpen, "start": &hostStart, "stop": &hostStop,
	})
}

func TestAnEmitThatFitsIsOneFlush(t *testing.T) {
	h := newFakeHost(t)
	fakehost.Must(t, Emit(1<<64-1, [][]byte{[]byte("test-100"), {}, []byte("test-100")}))
	if len(h.Lists) != 1 || h.Values[0] != 1<<64-1 || string(h.Lists[0]) != "\x00\x08test-100\x00\x00\x00\x08test-100" {
		t.Errorf("%d %q", h.Values, h.Lists)
	}
}

func TestKeysThatDoNotFitAreAllEmittedInOrderWithTheSameValue(t *testing.T) {
	h := newFakeHost(t)
	var keys [][]byte
	for n := range 20_000 {
		keys = append(keys, fmt.Appendf(nil, "key-%08d", n))
	}
	keys = append(keys, make([]byte, MaxKeyBytes))
	fakehost.Must(t, Emit(7, keys))
	if len(h.Lists) < 2 || !slices.EqualFunc(h.Keys(), keys, bytes.Equal) {
		t.Errorf("%d keys in %d flushes", len(h.Keys()), len(h.Lists))
	}
	for n, value := range h.Values {
		if value != 7 || len(h.Lists[n]) > BufBytes {
			t.Errorf("flush %d: %d, %d bytes", n, value, len(h.Lists[n]))
		}
	}
}

func TestAKeyThatIsTooLongIsAnErrorBeforeAnythingIsFlushed(t *testing.T) {
	h := newFakeHost(t)
	err := Emit(1, [][]byte{make([]byte, MaxKeyBytes), make([]byte, MaxKeyBytes+1)})
	var long *TooLongError
	if !errors.Is(err, ErrTooLong) || !errors.As(err, &long) || *long != (TooLongError{Bytes: 16_383, Max: 16_382}) {
		t.Errorf("%v", err)
	}
	if len(h.Lists) != 0 {
		t.Errorf("%d flushes", len(h.Lists))
	}
}

func TestAnEmitWithoutKeysDoesNotReachTheHost(t *testing.T) {
	h := newFakeHost(t)
	fakehost.Must(t, Emit(1, nil))
	if len(h.Lists) != 0 {
		t.Errorf("%d flushes", len(h.Lists))
	}
}

func TestAnEmitAllocatesNothing(t *testing.T) {
	newFakeHost(t)
	hostFlush = func() {}
	keys := [][]byte{[]byte("test-100"), []byte("test-200"), []byte("test-300")}
	if n := testing.AllocsPerRun(100, func() { _ = Emit(1, keys) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIdsAreSentRawAndRangesAsThreeKeys(t *testing.T) {
	h := newFakeHost(t)
	id := []byte("\x00w")
	fakehost.Must(t, Reserve(id))
	fakehost.Must(t, Start(id))
	fakehost.Must(t, Stop(id))
	fakehost.Must(t, Open([]byte("w1"), []byte("a"), []byte("bc")))
	fakehost.Must(t, OpenKey(nil, []byte("k")))
	fakehost.Must(t, Open([]byte("w"), []byte("k"), []byte("k")))
	fakehost.Must(t, OpenPrefix([]byte("w"), []byte("a\xff\xff")))
	want := []string{
		"reserve \x00w", "start \x00w", "stop \x00w",
		"open \x00\x02w1\x00\x01a\x00\x02bc",
		"open \x00\x00\x00\x01k\x00\x00",
		"open \x00\x01w\x00\x01k\x00\x01k",
		"open \x00\x01w\x00\x03a\xff\xff\x00\x01b",
	}
	if !slices.Equal(h.Applied, want) {
		t.Errorf("%q", h.Applied)
	}
}

func TestWhatTheABICannotEncodeDoesNotReachTheHost(t *testing.T) {
	h := newFakeHost(t)
	w := []byte("w")
	for _, c := range []struct {
		got, want error
	}{
		{Open(w, []byte("b"), []byte("a")), ErrEmptyRange},
		{OpenPrefix(w, nil), ErrUnbounded},
		{OpenPrefix(w, []byte{0xff, 0xff}), ErrUnbounded},
		{Reserve(make([]byte, BufBytes+1)), ErrTooLong},
		{Start(make([]byte, BufBytes+1)), ErrTooLong},
		{Stop(make([]byte, BufBytes+1)), ErrTooLong},
		{OpenKey(make([]byte, MaxOpenBytes), w), ErrTooLong},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%v, not %v", c.got, c.want)
		}
	}
	if len(h.Applied) != 0 {
		t.Errorf("%q", h.Applied)
	}
	fakehost.Must(t, Reserve(make([]byte, BufBytes)))
	fakehost.Must(t, OpenKey(make([]byte, MaxOpenBytes-1), w))
}

func TestEachTextOfTheHostIsAnErrorOfItsOwn(t *testing.T) {
	h := newFakeHost(t)
	for text, want := range map[string]error{
		"Watch exists": ErrExists, "Watch not found": ErrNotFound,
		"Watch already open": ErrAlreadyOpen, "Watch closed": ErrClosed,
		"Group not found": ErrGroupNotFound,
	} {
		h.Reply = text
		if err := Start([]byte("w")); err != want {
			t.Errorf("%q is %v", text, err)
		}
	}
	h.Reply = "watch exists"
	if err := Start([]byte("w")); err.Error() != "the host refused: watch exists" {
		t.Errorf("%v", err)
	}
}

func TestAHandlerIsCalledWithItsOwnId(t *testing.T) {
	h := newFakeHost(t)
	h.Reply = "Watch not found"
	var ids []string
	fakehost.Must(t, Receive(func(id []byte, value uint64) {
		_ = Start([]byte("another")) // which fails, and overwrites the buffer
		ids = append(ids, fmt.Sprint(string(id), value))
	}))
	if err := Receive(func([]byte, uint64) {}); err != ErrHandlerExists {
		t.Errorf("%v", err)
	}
	guest.SetBuf([]byte("w1"))
	guest.Val = 5
	guest.Deliver()
	if !slices.Equal(ids, []string{"w15"}) || reported() != "" {
		t.Errorf("%q, %q", ids, reported())
	}
}

func TestWhatAHandlerFailsWithIsReported(t *testing.T) {
	newFakeHost(t)
	guest.Deliver()
	if reported() != "no handler is registered on this instance" {
		t.Error(reported())
	}
	var err error
	fakehost.Must(t, TryReceive(func([]byte, uint64) error { return err }))
	for text, want := range map[string]string{
		"broken":                    "broken",
		"":                          "the handler failed without a text",
		strings.Repeat("e", 70_000): strings.Repeat("e", ErrBytes),
	} {
		err = errors.New(text)
		if guest.Deliver(); reported() != want {
			t.Errorf("%q", reported())
		}
	}
}

func TestAPanicIsReportedAndGoesOn(t *testing.T) {
	newFakeHost(t)
	var reason any
	fakehost.Must(t, Receive(func([]byte, uint64) { panic(reason) }))
	for _, c := range []struct {
		reason any
		text   string
	}{
		{"broken", "panic: broken"},
		{errors.New("broken"), "panic: broken"},
		{3, "panic, whose text is on stderr"},
	} {
		reason = c.reason
		func() {
			defer func() {
				if recover() != c.reason {
					t.Error("another panic")
				}
			}()
			guest.Deliver()
		}()
		if reported() != c.text {
			t.Errorf("%q", reported())
		}
	}
}

func TestAnInputIsReadInAsManyPiecesAsTheHostCopies(t *testing.T) {
	newFakeHost(t)
	oldLen, oldRead, oldWrite := hostInputLen, readInput, writeOutput
	t.Cleanup(func() { hostInputLen, readInput, writeOutput = oldLen, oldRead, oldWrite })
	input := []byte("0123456789")
	hostInputLen = func() uint32 { return uint32(len(input)) }
	for _, max := range []int{1, 3, 10, 11} {
		readInput = func(to []byte, offset int) int { return copy(to[:min(max, len(to))], input[offset:]) }
		var output []byte
		writeOutput = func(bytes []byte) { output = append(output, bytes...) }
		fakehost.Must(t, Answer(func(input []byte) []byte { return append(input, '!') }))
		if string(output) != "0123456789!" {
			t.Errorf("%q", output)
		}
	}
}

func TestOutsideOfAGuestThereIsNoHost(t *testing.T) {
	w := []byte("w")
	_, err := Input()
	for n, err := range []error{
		Emit(1, [][]byte{w}), Reserve(w), Open(w, w, nil), OpenKey(w, w), OpenPrefix(w, w), Start(w), Stop(w),
		Receive(func([]byte, uint64) {}), TryReceive(nil), err, Output(w), Answer(nil),
	} {
		if err != ErrNoHost {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func reported() string { return string(guest.Err()) }
