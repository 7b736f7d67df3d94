// Package relay forwards TCP connections to a server, and can disturb them: drop them, hold new
// ones back, or swallow what they carry. Tests of clients need that between them and the server.
package relay

import (
	"io"
	"net"
	"sync"
)

// Relay listens on an address and forwards each connection to a target.
type Relay struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	connections map[*connection]struct{}
	// paused is closed when new connections may go on; nil if they need not wait.
	paused    chan struct{}
	blackhole bool
}

// Listen starts a relay. A port of 0 takes any free port, see Port.
func Listen(address, target string) (*Relay, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	r := &Relay{listener: listener, target: target, connections: map[*connection]struct{}{}}
	r.running.Add(1)
	go r.accept()
	return r, nil
}

// Port returns the port that the relay listens on.
func (r *Relay) Port() int { return r.listener.Addr().(*net.TCPAddr).Port }

// Close stops listening, closes all connections, and waits for the end of all goroutines.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.resume()
	r.mu.Unlock()
	r.listener.Close()
	r.Drop()
	r.running.Wait()
}

// Drop closes all connections. Clients may connect again.
func (r *Relay) Drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.connections {
		c.close()
	}
}

// Pause holds new connections back until Resume. Those that exist are not affected.
func (r *Relay) Pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paused == nil {
		r.paused = make(chan struct{})
	}
}

// Resume ends what Pause began.
func (r *Relay) Resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resume()
}

func (r *Relay) resume() {
	if r.paused != nil {
		close(r.paused)
		r.paused = nil
	}
}

// Blackhole keeps connections open and swallows what they carry, in both directions. It holds
// for new connections, too.
func (r *Relay) Blackhole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blackhole = true
}

// Unblackhole ends what Blackhole began. It closes the connections, which have lost data.
func (r *Relay) Unblackhole() {
	r.mu.Lock()
	r.blackhole = false
	r.mu.Unlock()
	r.Drop()
}

func (r *Relay) accept() {
	defer r.running.Done()
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		paused := r.paused
		r.mu.Unlock()
		if paused != nil {
			<-paused
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			client.Close()
			continue
		}
		r.serve(&connection{client: client, server: server})
	}
}

func (r *Relay) serve(c *connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c.close()
		return
	}
	r.connections[c] = struct{}{}
	r.running.Add(1)
	go func() {
		defer r.running.Done()
		var directions sync.WaitGroup
		directions.Add(2)
		go func() { defer directions.Done(); r.forward(c, c.server, c.client) }()
		go func() { defer directions.Done(); r.forward(c, c.client, c.server) }()
		directions.Wait()
		r.mu.Lock()
		delete(r.connections, c)
		r.mu.Unlock()
	}()
}

// forward copies until one side fails, and then closes both.
func (r *Relay) forward(c *connection, to io.Writer, from io.Reader) {
	defer c.close()
	buf := make([]byte, 32*1024)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		swallow := r.blackhole
		r.mu.Unlock()
		if swallow {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// connection is one client with its connection to the target.
type connection struct {
	client, server net.Conn
}

func (c *connection) close() {
	c.client.Close()
	c.server.Close()
}
