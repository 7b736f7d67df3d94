package integration

import (
	"fmt"
	"io/ioutil"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/etcdserver"
	"go.etcd.io/etcd/pkg/transport"
	"go.etcd.io/etcd/pkg/types"

	"google.golang.org/grpc"

	"judges/relay"
)

// dialTimeout limits how long a client may take for its first connection.
const dialTimeout = 5 * time.Second

// member is a relay to the server of its cluster.
type member struct {
	// ServerConfig has fields that tests read. QuotaBackendBytes is also passed on to the server.
	etcdserver.ServerConfig

	ClientTLSInfo *transport.TLSInfo
	PeerTLSInfo   *transport.TLSInfo
	DialOptions   []grpc.DialOption

	cluster *cluster
	// relay is nil while the member is stopped.
	relay *relay.Relay
	// port is that of the relay, and stays the same when it restarts; 0 before the first start.
	port int
	// stopped is closed when the member stops.
	stopped chan struct{}
}

func newMember(c *cluster, i int) *member {
	m := &member{cluster: c, ClientTLSInfo: c.cfg.ClientTLS, PeerTLSInfo: c.cfg.PeerTLS}
	m.Name = fmt.Sprint(i)
	m.QuotaBackendBytes = c.cfg.QuotaBackendBytes
	m.ElectionTicks = electionTicks
	m.TickMs = uint(tickDuration / time.Millisecond)
	return m
}

// Launch starts the relay, and the server if no other member has started it.
func (m *member) Launch() error {
	address, err := m.cluster.startServer()
	if err != nil {
		return err
	}
	m.relay, err = relay.Listen(fmt.Sprintf("127.0.0.1:%d", m.port), address)
	if err != nil {
		return err
	}
	m.port = m.relay.Port()
	m.stopped = make(chan struct{})
	m.ClientURLs, err = types.NewURLs([]string{fmt.Sprintf("http://127.0.0.1:%d", m.port)})
	return err
}

// Close stops the relay, and with the last relay also the server. It is also for a member that
// does not run.
func (m *member) Close() {
	if !m.runs() {
		return
	}
	m.relay.Close()
	m.relay = nil
	m.cluster.stopServer()
	close(m.stopped)
}

func (m *member) runs() bool { return m.relay != nil }

// Stop stops the member. The data of the server stays.
func (m *member) Stop(t testing.TB) { m.Close() }

// Terminate stops the member for good.
func (m *member) Terminate(t testing.TB) { m.Close() }

// Restart starts a member that was stopped, on the same port.
func (m *member) Restart(t testing.TB) error { return m.Launch() }

// StopNotify returns a channel that is closed when the member has stopped.
func (m *member) StopNotify() <-chan struct{} { return m.stopped }

// ReadyNotify returns a closed channel: Launch returns when the server is ready.
func (m *member) ReadyNotify() <-chan struct{} {
	ready := make(chan struct{})
	close(ready)
	return ready
}

// WaitOK returns at once: Launch returns when the server is ready.
func (m *member) WaitOK(t testing.TB) {}

// GRPCAddr returns the address that clients connect to.
func (m *member) GRPCAddr() string {
	if m.cluster.cfg.UseIP {
		return fmt.Sprintf("127.0.0.1:%d", m.port)
	}
	return fmt.Sprintf("localhost:%d", m.port)
}

// DropConnections closes all connections of clients.
func (m *member) DropConnections() { m.relay.Drop() }

// PauseConnections holds new connections back until UnpauseConnections.
func (m *member) PauseConnections() { m.relay.Pause() }

// UnpauseConnections ends what PauseConnections began.
func (m *member) UnpauseConnections() { m.relay.Resume() }

// Blackhole swallows what clients and server send, until Unblackhole.
func (m *member) Blackhole() { m.relay.Blackhole() }

// Unblackhole ends what Blackhole began.
func (m *member) Unblackhole() { m.relay.Unblackhole() }

// Metric returns the value of the first metric whose line begins with a name.
func (m *member) Metric(name string) (string, error) {
	client := http.Client{Timeout: dialTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(m.ClientURLs[0].String() + "/metrics")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := ioutil.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(body), "\n") {
		if strings.HasPrefix(line, name) {
			return line[strings.LastIndex(line, " ")+1:], nil
		}
	}
	return "", nil
}

// NewClientV3 returns a client that is connected to a member.
func NewClientV3(m *member) (*clientv3.Client, error) {
	cfg := clientv3.Config{
		Endpoints:          []string{m.GRPCAddr()},
		DialTimeout:        dialTimeout,
		DialOptions:        append([]grpc.DialOption{grpc.WithBlock()}, m.DialOptions...),
		MaxCallSendMsgSize: m.cluster.cfg.ClientMaxCallSendMsgSize,
		MaxCallRecvMsgSize: m.cluster.cfg.ClientMaxCallRecvMsgSize,
	}
	if m.ClientTLSInfo != nil {
		tls, err := m.ClientTLSInfo.ClientConfig()
		if err != nil {
			return nil, err
		}
		cfg.TLS = tls
	}
	return clientv3.New(cfg)
}
