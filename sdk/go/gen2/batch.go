package gen2

import (
	"encoding/binary"
	"errors"
	"iter"
)

var errNoBatch = errors.New("not a batch: open watches by the verbs of generation 2")

// Batch is what one delivery brings: notices in the order of the emits. It is valid until the
// handler returns; to keep a notice, copy its value and its ids.
type Batch struct {
	n       int
	notices []byte
}

// Len is the number of notices.
func (b Batch) Len() int { return b.n }

// Notices are those of the batch, in order. A loop over them allocates nothing.
func (b Batch) Notices() iter.Seq[Notice] {
	return func(yield func(Notice) bool) {
		rest := b.notices
		for range b.n {
			notice, tail, _ := takeNotice(rest)
			if !yield(notice) {
				return
			}
			rest = tail
		}
	}
}

// Notice is one value, and the ids of the watches that it matches.
type Notice struct {
	// Value is that of the emit.
	Value uint64

	n   int
	ids []byte
}

// Len is the number of ids.
func (n Notice) Len() int { return n.n }

// IDs are those of the watches, in no particular order. A loop over them allocates nothing.
func (n Notice) IDs() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		rest := n.ids
		for range n.n {
			id, tail, _ := takeID(rest)
			if !yield(id) {
				return
			}
			rest = tail
		}
	}
}

// parse returns the batch that the bytes are, if they are one.
func parse(bytes []byte) (batch Batch, ok bool) {
	n, rest, ok := takeUint16(bytes)
	batch = Batch{n, rest}
	for i := 0; ok && i < n; i++ {
		_, rest, ok = takeNotice(rest)
	}
	return batch, ok && len(rest) == 0
}

func takeNotice(bytes []byte) (notice Notice, rest []byte, ok bool) {
	if len(bytes) < 8 {
		return Notice{}, nil, false
	}
	notice.Value = binary.BigEndian.Uint64(bytes)
	notice.n, notice.ids, ok = takeUint16(bytes[8:])
	rest = notice.ids
	for i := 0; ok && i < notice.n; i++ {
		_, rest, ok = takeID(rest)
	}
	notice.ids = notice.ids[:len(notice.ids)-len(rest)]
	return notice, rest, ok
}

func takeID(bytes []byte) (id, rest []byte, ok bool) {
	n, rest, ok := takeUint16(bytes)
	if !ok || len(rest) < n {
		return nil, nil, false
	}
	return rest[:n:n], rest[n:], true
}

func takeUint16(bytes []byte) (n int, rest []byte, ok bool) {
	if len(bytes) < 2 {
		return 0, nil, false
	}
	return int(binary.BigEndian.Uint16(bytes)), bytes[2:], true
}
