package guest

import (
	"bytes"
	"unsafe"
)

// maxShortKeyBytes is the longest key that Send copies by words.
const maxShortKeyBytes = 128

// Send passes the keys with the value to an import: in one call, or in several with the same value
// when they do not fit into the buffer.
//
// Emits are what guests do in loops. While the keys are short and fit, it calls nothing and checks
// no bounds but its own: in WebAssembly a call of Go takes forty instructions.
func Send(value uint64, keys [][]byte, host func()) error {
	const word = 8
	n := 0
	for _, key := range keys {
		if len(key) > maxShortKeyBytes || n > BufBytes-maxShortKeyBytes-keyPrefixBytes || !HasHost {
			return sendInParts(value, keys, host)
		}
		// What is written below is within Buf, by the check above.
		to := unsafe.Add(unsafe.Pointer(&Buf), n)
		*(*byte)(to) = 0
		*(*byte)(unsafe.Add(to, 1)) = byte(len(key))
		to = unsafe.Add(to, keyPrefixBytes)
		from := unsafe.Pointer(unsafe.SliceData(key))
		n += keyPrefixBytes + len(key)
		if len(key) < word {
			for i := range len(key) {
				*(*byte)(unsafe.Add(to, i)) = *(*byte)(unsafe.Add(from, i))
			}
			continue
		}
		// The last word may overlap the one before.
		last := len(key) - word
		for i := 0; i < last; i += word {
			*(*uint64)(unsafe.Add(to, i)) = *(*uint64)(unsafe.Add(from, i))
		}
		*(*uint64)(unsafe.Add(to, last)) = *(*uint64)(unsafe.Add(from, last))
	}
	if n > 0 {
		Val = value
		BufLen = uint32(n)
		host()
	}
	return nil
}

func sendInParts(value uint64, keys [][]byte, host func()) error {
	for _, key := range keys {
		if err := checkLength(len(key), MaxKeyBytes); err != nil {
			return err
		}
	}
	if !HasHost {
		return ErrNoHost
	}
	Val = value
	BufLen = 0
	for _, key := range keys {
		if int(BufLen)+keyPrefixBytes+len(key) > BufBytes {
			host()
			BufLen = 0
		}
		appendKey(key)
	}
	host()
	return nil
}

// Apply passes an id to an import, and returns what the host answers.
func Apply(id []byte, host func()) error {
	if err := checkLength(len(id), BufBytes); err != nil {
		return err
	}
	if !HasHost {
		return ErrNoHost
	}
	SetBuf(id)
	errLen = 0
	host()
	return hostError()
}

// Open passes the keys of an open to an import, and returns what the host answers.
func Open(id, from, to []byte, host func()) error {
	if len(to) > 0 && bytes.Compare(from, to) > 0 {
		return ErrEmptyRange
	}
	if err := checkLength(len(id)+len(from)+len(to), MaxOpenBytes); err != nil {
		return err
	}
	if !HasHost {
		return ErrNoHost
	}
	BufLen, errLen = 0, 0
	appendKey(id)
	appendKey(from)
	appendKey(to)
	host()
	return hostError()
}

// OpenPrefix is Open with the keys that begin with a prefix.
func OpenPrefix(id, prefix []byte, host func()) error {
	end := bytes.Clone(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return ErrUnbounded
	}
	end[len(end)-1]++
	return Open(id, prefix, end, host)
}
