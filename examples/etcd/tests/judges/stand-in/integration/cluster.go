// Package integration stands in for etcd's package of the same name, which etcd's integration tests
// are written against. That one starts members of a cluster in the process of the test. This one
// starts the server under test as a process. The members of a cluster are relays to that one
// server, so tests of clients that switch between endpoints work, and tests of Raft do not.
//
// The names are etcd's, because its tests use them.
package integration

import (
	"fmt"
	"io/ioutil"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/pkg/transport"

	"judges/server"
)

const (
	// RequestWaitTimeout is how long tests wait for a request to succeed or fail.
	RequestWaitTimeout = 4 * time.Second

	// Tests wait for multiples of these. `start-server` gives them to etcd.
	tickDuration  = 10 * time.Millisecond
	electionTicks = 10

	// startAttempts is how often a server is started, each time on another port: another process
	// may take a free port before the server does.
	startAttempts = 3
)

// ClusterConfig has the fields of etcd's. Those that concern Raft are ignored.
type ClusterConfig struct {
	Size      int
	PeerTLS   *transport.TLSInfo
	ClientTLS *transport.TLSInfo

	DiscoveryURL string
	AuthToken    string
	AuthTokenTTL uint
	UseGRPC      bool

	QuotaBackendBytes int64
	MaxTxnOps         uint
	MaxRequestBytes   uint

	SnapshotCount          uint64
	SnapshotCatchUpEntries uint64

	GRPCKeepAliveMinTime  time.Duration
	GRPCKeepAliveInterval time.Duration
	GRPCKeepAliveTimeout  time.Duration

	SkipCreatingClient       bool
	ClientMaxCallSendMsgSize int
	ClientMaxCallRecvMsgSize int

	// UseIP is for certificates that name an address instead of a host.
	UseIP bool

	EnableLeaseCheckpoint   bool
	LeaseCheckpointInterval time.Duration
	LeaseCheckpointPersist  bool

	WatchProgressNotifyInterval time.Duration
	CorruptCheckTime            time.Duration
}

// cluster is one server process and the members that relay to it.
type cluster struct {
	Members []*member

	cfg *ClusterConfig
	// folder holds the data of the server.
	folder string

	mu      sync.Mutex
	process *server.Server
	address string
}

// NewClusterByConfig returns a cluster that is not launched.
func NewClusterByConfig(t testing.TB, cfg *ClusterConfig) *cluster {
	folder, err := ioutil.TempDir("", "server")
	if err != nil {
		fatal(t, err)
	}
	c := &cluster{cfg: cfg, folder: folder}
	for i := 0; i < cfg.Size; i++ {
		c.Members = append(c.Members, newMember(c, i))
	}
	return c
}

// Launch starts the server and the relays.
func (c *cluster) Launch(t testing.TB) {
	for _, m := range c.Members {
		if err := m.Launch(); err != nil {
			fatal(t, err)
		}
	}
}

// fatal ends a test, or the program: some start a cluster before their tests.
func fatal(t testing.TB, err error) {
	if t == nil {
		panic(err)
	}
	t.Fatal(err)
}

// Terminate stops the server and removes its data.
func (c *cluster) Terminate(t testing.TB) {
	for _, m := range c.Members {
		m.Close()
	}
	os.RemoveAll(c.folder)
}

// WaitLeader returns the index of the first member that runs: the members are one server, which
// needs no leader.
func (c *cluster) WaitLeader(t testing.TB) int { return c.waitLeader(t, c.Members) }

func (c *cluster) waitLeader(t testing.TB, members []*member) int {
	for i, m := range members {
		if m.runs() {
			return i
		}
	}
	return -1
}

// startServer starts the server if it does not run, and returns its address.
func (c *cluster) startServer() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		return c.address, nil
	}
	log, err := os.OpenFile(os.Getenv("JUDGES_SERVER_LOG"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	defer log.Close()
	for attempt := 0; attempt < startAttempts; attempt++ {
		var options server.Options
		if options, err = c.options(); err != nil {
			return "", err
		}
		c.process, err = server.Start(options, log)
		if err == nil {
			c.address = options.Address
			return c.address, nil
		}
		c.process = nil
		if err != server.ErrEnded {
			break
		}
	}
	output, _ := ioutil.ReadFile(log.Name())
	return "", fmt.Errorf("%v; the server printed:\n%s", err, output)
}

// stopServer kills the server, as a crash would, if none of the members runs.
func (c *cluster) stopServer() {
	if c.waitLeader(nil, c.Members) >= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		c.process.Kill()
		c.process = nil
	}
}

func (c *cluster) options() (server.Options, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return server.Options{}, err
	}
	defer free.Close()
	options := server.Options{
		Address: free.Addr().String(),
		DataDir: filepath.Join(c.folder, "data"),

		MaxTxnOps:         c.cfg.MaxTxnOps,
		MaxRequestBytes:   c.cfg.MaxRequestBytes,
		QuotaBackendBytes: c.Members[0].QuotaBackendBytes,

		ProgressInterval:  c.cfg.WatchProgressNotifyInterval,
		KeepAliveMinTime:  c.cfg.GRPCKeepAliveMinTime,
		KeepAliveInterval: c.cfg.GRPCKeepAliveInterval,
		KeepAliveTimeout:  c.cfg.GRPCKeepAliveTimeout,
	}
	// Some tests set the interval in the server's code, which runs in their process at etcd.
	if set := v3rpc.GetProgressReportInterval(); options.ProgressInterval == 0 && set < time.Minute {
		options.ProgressInterval = set
	}
	if tls := c.cfg.ClientTLS; tls != nil {
		options.CertFile, options.KeyFile = tls.CertFile, tls.KeyFile
		options.TrustedCAFile, options.ClientCertAuth = tls.TrustedCAFile, tls.ClientCertAuth
	}
	return options, nil
}

// ClusterV3 is a cluster with a client for each member.
type ClusterV3 struct {
	*cluster

	clientsMu sync.Mutex
	clients   []*clientv3.Client
}

// NewClusterV3 starts a cluster and its clients.
func NewClusterV3(t testing.TB, cfg *ClusterConfig) *ClusterV3 {
	clus := &ClusterV3{cluster: NewClusterByConfig(t, cfg)}
	clus.Launch(t)
	if cfg.SkipCreatingClient {
		return clus
	}
	for _, m := range clus.Members {
		client, err := NewClientV3(m)
		if err != nil {
			fatal(t, err)
		}
		clus.clients = append(clus.clients, client)
	}
	return clus
}

// Client returns the client of a member.
func (c *ClusterV3) Client(i int) *clientv3.Client { return c.clients[i] }

// RandClient returns the client of any member.
func (c *ClusterV3) RandClient() *clientv3.Client { return c.clients[rand.Intn(len(c.clients))] }

// TakeClient leaves it to the caller to close a client.
func (c *ClusterV3) TakeClient(i int) {
	c.clientsMu.Lock()
	defer c.clientsMu.Unlock()
	c.clients[i] = nil
}

// Terminate closes the clients, stops the server and removes its data.
func (c *ClusterV3) Terminate(t testing.TB) {
	c.clientsMu.Lock()
	defer c.clientsMu.Unlock()
	for _, client := range c.clients {
		if client == nil {
			continue
		}
		if err := client.Close(); err != nil {
			fatal(t, err)
		}
	}
	c.cluster.Terminate(t)
}
