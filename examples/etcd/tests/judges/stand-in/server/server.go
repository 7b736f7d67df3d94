// Package server runs the server under test as a process. The script `start-server`, which the
// environment variable JUDGES_START_SERVER names, knows what that server is and what its options
// are called.
package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// readyTimeout limits how long a server may take from its start to its first answer.
const readyTimeout = 20 * time.Second

// ErrEnded is the error of a server that ended before it was ready. Its port may have been in use.
var ErrEnded = errors.New("the server ended before it was ready")

// Options are what tests want to configure. A zero value leaves the default of the server.
type Options struct {
	// Address is the host and port to listen on.
	Address string
	DataDir string

	// Certificate and key of the server, as PEM files; without them it does not use TLS.
	CertFile, KeyFile string
	// TrustedCAFile signs the certificates that clients have to present.
	TrustedCAFile  string
	ClientCertAuth bool

	MaxTxnOps       uint
	MaxRequestBytes uint
	// ProgressInterval is the time between progress notifications of watches.
	ProgressInterval time.Duration

	QuotaBackendBytes    int64
	MaxConcurrentStreams uint

	// Limits on pings of clients, and the server's own pings.
	KeepAliveMinTime, KeepAliveInterval, KeepAliveTimeout time.Duration
}

// arguments of `start-server`.
func (o *Options) arguments() []string {
	args := []string{"--listen", o.Address, "--data", o.DataDir}
	add := func(set bool, name, value string) {
		if set {
			args = append(args, name, value)
		}
	}
	ms := func(name string, d time.Duration) {
		add(d != 0, name, strconv.FormatInt(d.Milliseconds(), 10))
	}
	add(o.CertFile != "", "--cert-file", o.CertFile)
	add(o.KeyFile != "", "--key-file", o.KeyFile)
	add(o.ClientCertAuth, "--client-ca-file", o.TrustedCAFile)
	add(o.MaxTxnOps != 0, "--max-txn-ops", fmt.Sprint(o.MaxTxnOps))
	add(o.MaxRequestBytes != 0, "--max-request-bytes", fmt.Sprint(o.MaxRequestBytes))
	add(o.QuotaBackendBytes != 0, "--quota-backend-bytes", fmt.Sprint(o.QuotaBackendBytes))
	add(o.MaxConcurrentStreams != 0, "--max-concurrent-streams", fmt.Sprint(o.MaxConcurrentStreams))
	ms("--progress-interval-ms", o.ProgressInterval)
	ms("--keepalive-min-time-ms", o.KeepAliveMinTime)
	ms("--keepalive-interval-ms", o.KeepAliveInterval)
	ms("--keepalive-timeout-ms", o.KeepAliveTimeout)
	return args
}

// Server is a running process.
type Server struct {
	command *exec.Cmd
	done    chan struct{}
}

// Start starts the server and waits until it serves. What it prints goes to output.
func Start(options Options, output *os.File) (*Server, error) {
	program := os.Getenv("JUDGES_START_SERVER")
	if program == "" {
		return nil, fmt.Errorf("JUDGES_START_SERVER is not set: start the tests by the script `run`")
	}
	command := exec.Command(program, options.arguments()...)
	command.Stdout, command.Stderr = output, output
	// A test that times out ends at once, and its server with it.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &Server{command: command, done: make(chan struct{})}
	go func() {
		command.Wait()
		close(s.done)
	}()
	if err := s.waitReady(options); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

// Done is closed when the process has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Kill ends the process at once, as a crash would, and waits for its end.
func (s *Server) Kill() { s.Stop(syscall.SIGKILL) }

// Stop sends a signal that ends the process, and waits for its end.
func (s *Server) Stop(signal os.Signal) {
	s.command.Process.Signal(signal)
	<-s.done
}

// ExitCode of a process that has ended; negative after a signal.
func (s *Server) ExitCode() int {
	<-s.done
	return s.command.ProcessState.ExitCode()
}

func (s *Server) waitReady(options Options) error {
	deadline := time.Now().Add(readyTimeout)
	for time.Now().Before(deadline) {
		select {
		case <-s.done:
			return ErrEnded
		default:
		}
		if answers(options.Address, options.CertFile != "") {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("the server was not ready after %v", readyTimeout)
}

// answers says whether the server answers the first bytes of an HTTP/2 connection. To listen is
// not enough: a server may listen before it has opened its data.
func answers(address string, secure bool) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if secure {
		// Without a client certificate the answer may be an alert, which is an answer.
		s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		err := s.Handshake()
		var alert *net.OpError
		return err == nil || errors.As(err, &alert) && alert.Op == "remote error"
	}
	emptySettings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+emptySettings); err != nil {
		return false
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err == nil
}
