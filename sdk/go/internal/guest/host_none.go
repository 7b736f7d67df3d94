//go:build !wasm

package guest

// HasHost is false outside of a guest: arguments are checked as in one, and then every call that
// needs a host returns ErrNoHost.
var HasHost = false

// Reset forgets what a test has set.
func Reset() { HasHost, handler = false, nil }
