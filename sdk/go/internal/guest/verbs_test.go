//go:build !wasm

package guest

import (
	"bytes"
	"math/rand"
	"testing"
)

// The two ways to write a list of keys, of all lengths and up to the end of the buffer, write the
// same.
func TestShortKeysAreWrittenAsLongOnes(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	nLists := 0
	for range 2_000 {
		keys := make([][]byte, random.Intn(4))
		for n := range keys {
			keys[n] = make([]byte, random.Intn(maxShortKeyBytes+2))
			random.Read(keys[n])
		}
		if random.Intn(10) == 0 {
			for range 200 {
				keys = append(keys, make([]byte, random.Intn(maxShortKeyBytes)))
			}
		}
		BufLen = 0
		isShort := true
		for _, key := range keys {
			isShort = isShort && len(key) <= maxShortKeyBytes && BufLen+maxShortKeyBytes+keyPrefixBytes <= BufBytes
			appendKey(key)
		}
		want := bytes.Clone(Delivered())
		clear(Buf[:])
		n := shortKeys(keys)
		if isShort != (n >= 0) {
			t.Fatalf("%d of %d keys", n, len(keys))
		}
		if n >= 0 {
			nLists++
			// Nothing is written behind them.
			if !bytes.Equal(Buf[:n], want) || n < BufBytes && Buf[n] != 0 {
				t.Fatalf("%q, not %q", Buf[:n], want)
			}
		}
	}
	if nLists < 1_000 {
		t.Errorf("%d lists", nLists)
	}
}
