package guest

import "bytes"

// Send passes the keys with the value to an import: in one call, or in several with the same value
// when they do not fit into the buffer.
func Send(value uint64, keys [][]byte, host func()) error {
	for _, key := range keys {
		if len(key) > MaxKeyBytes {
			return checkLength(len(key), MaxKeyBytes)
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
	if BufLen > 0 {
		host()
	}
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
