package rangewatch

// Limits of the guest ABI, generation 1, in bytes.
const (
	// BufBytes is the capacity of the buffer that is shared with the host, and the longest id that
	// Reserve takes.
	BufBytes = 16_384
	// ErrBytes is the capacity of the error text. A longer text is truncated.
	ErrBytes = 1_024
	// MaxKeyBytes is the longest key, inclusive: what fits into the buffer alone.
	MaxKeyBytes = BufBytes - keyPrefixBytes
	// MaxOpenBytes is the most that id, from and to of one Open may have together, inclusive.
	MaxOpenBytes = BufBytes - 3*keyPrefixBytes
	// MaxInputReadBytes is the most that the host copies of an input at once, inclusive.
	MaxInputReadBytes = 1 << 20

	// keyPrefixBytes is what the length of a key takes in a key list.
	keyPrefixBytes = 2
)

// Error texts of the host.
const (
	watchExists      = "Watch exists"
	watchNotFound    = "Watch not found"
	watchAlreadyOpen = "Watch already open"
	watchClosed      = "Watch closed"
)

// What is shared with the host. The host reads its addresses once, from the meta page, so it is in
// package variables, which do not move.
var (
	buf    [BufBytes]byte
	bufCap uint32 = BufBytes
	bufLen uint32
	errBuf [ErrBytes]byte
	errCap uint32 = ErrBytes
	errLen uint32
	val    uint64
)

// appendKey adds a key to the key list in buf: its length, big endian, and its bytes. It has to
// fit.
func appendKey(key []byte) {
	n := bufLen
	buf[n] = byte(len(key) >> 8)
	buf[n+1] = byte(len(key))
	bufLen = n + keyPrefixBytes + uint32(copy(buf[n+keyPrefixBytes:], key))
}

// setBuf replaces the content of buf, which has room for it.
func setBuf(bytes []byte) {
	bufLen = uint32(copy(buf[:], bytes))
}

// setErr replaces the error text, cut to its capacity.
func setErr(text string) {
	errLen = uint32(copy(errBuf[:], text))
}
