//go:build !wasm

package guest

import (
	"bytes"
	"math/rand"
	"testing"
)

// Keys of all lengths, short ones and long ones, up to the end of the buffer: what is sent at once
// is what appendKey writes, and nothing is written behind it.
func TestKeysOfAllLengthsAreWrittenAlike(t *testing.T) {
	HasHost = true
	t.Cleanup(Reset)
	random := rand.New(rand.NewSource(1))
	nFull := 0
	for range 5_000 {
		var keys [][]byte
		n := 0
		for most := 1 + random.Intn(2*maxShortKeyBytes); ; {
			key := make([]byte, random.Intn(most))
			random.Read(key)
			if n += keyPrefixBytes + len(key); n > BufBytes {
				nFull++
				break
			}
			keys = append(keys, key)
			if random.Intn(200) == 0 {
				break
			}
		}
		BufLen = 0
		for _, key := range keys {
			appendKey(key)
		}
		want := bytes.Clone(Delivered())
		clear(Buf[:])
		sent := 0
		if err := Send(7, keys, func() { sent++ }); err != nil {
			t.Fatal(err)
		}
		got := Delivered()
		if sent > 1 || len(keys) > 0 && (Val != 7 || !bytes.Equal(got, want)) {
			t.Fatalf("%d calls, %q, not %q", sent, got, want)
		}
		if rest := Buf[len(want):]; !bytes.Equal(rest, make([]byte, len(rest))) {
			t.Fatalf("%q behind %d bytes", rest, len(want))
		}
	}
	if nFull < 1_000 {
		t.Errorf("the buffer was full %d times", nFull)
	}
}
