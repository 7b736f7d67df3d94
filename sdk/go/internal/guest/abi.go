// Package guest has what both generations of the guest ABI share: the memory that the host reads
// and writes, the encoding of key lists, the errors, and the handler.
package guest

// Limits of the guest ABI, in bytes.
const (
	BufBytes          = 16_384
	ErrBytes          = 1_024
	MaxKeyBytes       = BufBytes - keyPrefixBytes
	MaxOpenBytes      = BufBytes - 3*keyPrefixBytes
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
	groupNotFound    = "Group not found"
)

// What is shared with the host. The host reads its addresses once, from the meta page, so it is in
// package variables, which do not move.
var (
	Buf    [BufBytes]byte
	bufCap uint32 = BufBytes
	BufLen uint32
	errBuf [ErrBytes]byte
	errCap uint32 = ErrBytes
	errLen uint32
	Val    uint64
)

// appendKey adds a key to the key list in Buf: its length, big endian, and its bytes. It has to
// fit.
func appendKey(key []byte) {
	n := BufLen
	Buf[n] = byte(len(key) >> 8)
	Buf[n+1] = byte(len(key))
	BufLen = n + keyPrefixBytes + uint32(copy(Buf[n+keyPrefixBytes:], key))
}

// SetBuf replaces the content of Buf, which has room for it.
func SetBuf(bytes []byte) {
	BufLen = uint32(copy(Buf[:], bytes))
}

// Delivered is what the host has written to Buf.
func Delivered() []byte { return Buf[:min(BufLen, BufBytes)] }

// SetErr replaces the error text, cut to its capacity.
func SetErr(text string) {
	errLen = uint32(copy(errBuf[:], text))
}

// Err is the error text.
func Err() []byte { return errBuf[:min(errLen, ErrBytes)] }
