//go:build !wasm

package gen2

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	rangewatch "github.com/pantopic/rangewatch/sdk/go"
	"github.com/pantopic/rangewatch/sdk/go/internal/fakehost"
	"github.com/pantopic/rangewatch/sdk/go/internal/guest"
)

func newFakeHost(t *testing.T) *fakehost.Host {
	return fakehost.New(t, &hostQueue, map[string]*func(){
		"flush": &hostFlush, "clear": &hostClear, "reserve": &hostReserve, "open": &hostOpen, "start": &hostStart,
		"stop": &hostStop, "group_start": &hostGroupStart, "group_stop": &hostGroupStop,
	})
}

// Two notices: 5 of w1 and of the empty id, 2^64 - 1 of v.
const twoNotices = "\x00\x02" +
	"\x00\x00\x00\x00\x00\x00\x00\x05\x00\x02\x00\x02w1\x00\x00" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01\x00\x01v"

func texts(batch Batch) (all []string) {
	for notice := range batch.Notices() {
		for id := range notice.IDs() {
			all = append(all, fmt.Sprintf("%d:%s", notice.Value, id))
		}
	}
	return all
}

func TestKeysAreQueuedUntilTheFlush(t *testing.T) {
	h := newFakeHost(t)
	fakehost.Must(t, Queue(1<<64-1, [][]byte{[]byte("a"), {}, []byte("a")}))
	fakehost.Must(t, Queue(1, nil))
	if len(h.Lists) != 1 || h.Values[0] != 1<<64-1 || string(h.Lists[0]) != "\x00\x01a\x00\x00\x00\x01a" {
		t.Errorf("%d %q", h.Values, h.Lists)
	}
	if err := Queue(2, [][]byte{make([]byte, rangewatch.MaxKeyBytes+1)}); !errors.Is(err, rangewatch.ErrTooLong) {
		t.Errorf("%v", err)
	}
	guest.BufLen = 0
	fakehost.Must(t, Flush())
	fakehost.Must(t, Clear())
	if !slices.Equal(h.Applied, []string{"flush ", "clear "}) || len(h.Lists) != 1 {
		t.Errorf("%q, %q", h.Applied, h.Lists)
	}
}

func TestVerbsSendIdsRawAndRangesAsThreeKeys(t *testing.T) {
	h := newFakeHost(t)
	id := []byte("\x00w")
	for _, verb := range []func([]byte) error{Reserve, Start, Stop, GroupStart, GroupStop} {
		fakehost.Must(t, verb(id))
		if err := verb(make([]byte, rangewatch.BufBytes+1)); !errors.Is(err, rangewatch.ErrTooLong) {
			t.Errorf("%v", err)
		}
	}
	fakehost.Must(t, Open([]byte("w1"), []byte("a"), []byte("bc")))
	fakehost.Must(t, OpenKey(nil, []byte("k")))
	fakehost.Must(t, OpenPrefix([]byte("w"), []byte("a\xff\xff")))
	if err := OpenPrefix(id, nil); err != rangewatch.ErrUnbounded {
		t.Errorf("%v", err)
	}
	want := []string{
		"reserve \x00w", "start \x00w", "stop \x00w", "group_start \x00w", "group_stop \x00w",
		"open \x00\x02w1\x00\x01a\x00\x02bc",
		"open \x00\x00\x00\x01k\x00\x00",
		"open \x00\x01w\x00\x03a\xff\xff\x00\x01b",
	}
	if !slices.Equal(h.Applied, want) {
		t.Errorf("%q", h.Applied)
	}
	h.Reply = "Group not found"
	if err := GroupStop(id); err != rangewatch.ErrGroupNotFound {
		t.Errorf("%v", err)
	}
}

func TestAHandlerGetsEveryNotice(t *testing.T) {
	h := newFakeHost(t)
	h.Reply = "Watch not found"
	var received []string
	fakehost.Must(t, Receive(func(batch Batch) {
		_ = Start(bytes.Repeat([]byte("x"), 100)) // which fails, and overwrites the buffer
		received = append(texts(batch), fmt.Sprint(batch.Len()))
	}))
	if err := Receive(func(Batch) {}); err != rangewatch.ErrHandlerExists {
		t.Errorf("%v", err)
	}
	if err := rangewatch.Receive(func([]byte, uint64) {}); err != rangewatch.ErrHandlerExists {
		t.Errorf("the handler is of one generation: %v", err)
	}
	guest.SetBuf([]byte(twoNotices))
	guest.Deliver()
	if !slices.Equal(received, []string{"5:w1", "5:", "18446744073709551615:v", "2"}) || reported() != "" {
		t.Errorf("%q, %q", received, reported())
	}
}

func TestWhatAHandlerFailsWithIsReported(t *testing.T) {
	newFakeHost(t)
	guest.SetBuf([]byte(twoNotices))
	guest.Deliver()
	if reported() != "no handler is registered on this instance" {
		t.Error(reported())
	}
	fakehost.Must(t, TryReceive(func(batch Batch) error { return errors.New("broken") }))
	if guest.Deliver(); reported() != "broken" {
		t.Error(reported())
	}
	guest.SetBuf([]byte("w1"))
	if guest.Deliver(); !strings.HasPrefix(reported(), "not a batch") {
		t.Error(reported())
	}
}

func TestWhatIsCutOffOrTooLongIsNoBatch(t *testing.T) {
	for n := range len(twoNotices) {
		if _, ok := parse([]byte(twoNotices[:n])); ok {
			t.Errorf("%d bytes", n)
		}
	}
	if _, ok := parse([]byte(twoNotices + "\x00")); ok {
		t.Error("one byte more")
	}
	if batch, ok := parse([]byte{0, 0}); !ok || batch.Len() != 0 || texts(batch) != nil {
		t.Errorf("%v", batch)
	}
	if notice, _, ok := takeNotice(make([]byte, 10)); !ok || notice.Len() != 0 {
		t.Errorf("%v", notice)
	}
}

func TestALoopThatEndsEarlyEnds(t *testing.T) {
	batch, _ := parse([]byte(twoNotices))
	for notice := range batch.Notices() {
		for id := range notice.IDs() {
			if string(id) != "w1" {
				t.Errorf("%q", id)
			}
			break
		}
		break
	}
}

func TestQueuesAndDeliveriesAllocateNothing(t *testing.T) {
	newFakeHost(t)
	hostQueue, hostFlush = func() {}, func() {}
	var sum, n uint64
	fakehost.Must(t, Receive(func(batch Batch) {
		for notice := range batch.Notices() {
			for id := range notice.IDs() {
				sum += notice.Value + uint64(len(id))
				n++
			}
		}
	}))
	keys := [][]byte{[]byte("test-100"), []byte("test-200"), []byte("test-300")}
	list := []byte(twoNotices)
	allocations := testing.AllocsPerRun(100, func() {
		_ = Queue(1, keys)
		_ = Flush()
		guest.SetBuf(list)
		guest.Deliver()
	})
	if allocations != 0 || n != 3*101 {
		t.Errorf("%v allocations, %d ids", allocations, n)
	}
}

func TestOutsideOfAGuestThereIsNoHost(t *testing.T) {
	w := []byte("w")
	for n, err := range []error{
		Queue(1, [][]byte{w}), Flush(), Clear(), Reserve(w), Open(w, w, nil), OpenKey(w, w), OpenPrefix(w, w), Start(w),
		Stop(w), GroupStart(w), GroupStop(w), Receive(func(Batch) {}), TryReceive(nil),
	} {
		if err != rangewatch.ErrNoHost {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func reported() string { return string(guest.Err()) }
