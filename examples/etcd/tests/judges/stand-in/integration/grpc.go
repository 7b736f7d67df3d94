package integration

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/etcdserver/api/v3lock/v3lockpb"
	pb "go.etcd.io/etcd/etcdserver/etcdserverpb"
	"go.etcd.io/etcd/pkg/transport"
)

// ThroughProxy says that no etcd proxy is between clients and server.
const ThroughProxy = false

// Certificates that come with etcd's tests.
var (
	testTLSInfo          = fixture("fixtures", "server")
	testTLSInfoIP        = fixture("fixtures", "server-ip")
	testTLSInfoExpired   = fixture("fixtures-expired", "server")
	testTLSInfoExpiredIP = fixture("fixtures-expired", "server-ip")
)

func fixture(folder, name string) transport.TLSInfo {
	return transport.TLSInfo{
		CertFile:       folder + "/" + name + ".crt",
		KeyFile:        folder + "/" + name + ".key.insecure",
		TrustedCAFile:  folder + "/ca.crt",
		ClientCertAuth: true,
	}
}

// grpcAPI is the plain gRPC clients of a connection.
type grpcAPI struct {
	Cluster     pb.ClusterClient
	KV          pb.KVClient
	Lease       pb.LeaseClient
	Watch       pb.WatchClient
	Maintenance pb.MaintenanceClient
	Auth        pb.AuthClient
	Lock        v3lockpb.LockClient
	Election    v3electionpb.ElectionClient
}

func toGRPC(c *clientv3.Client) grpcAPI {
	connection := c.ActiveConnection()
	return grpcAPI{
		Cluster:     pb.NewClusterClient(connection),
		KV:          pb.NewKVClient(connection),
		Lease:       pb.NewLeaseClient(connection),
		Watch:       pb.NewWatchClient(connection),
		Maintenance: pb.NewMaintenanceClient(connection),
		Auth:        pb.NewAuthClient(connection),
		Lock:        v3lockpb.NewLockClient(connection),
		Election:    v3electionpb.NewElectionClient(connection),
	}
}

// WaitClientV3 waits until a client can read.
func WaitClientV3(t testing.TB, kv clientv3.KV) {
	var err error
	for end := time.Now().Add(readTimeout); time.Now().Before(end); time.Sleep(tickDuration) {
		ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
		_, err = kv.Get(ctx, "/")
		cancel()
		if err == nil {
			return
		}
	}
	t.Fatalf("the client cannot read: %v", err)
}

// readTimeout is how long WaitClientV3 retries.
const readTimeout = 20 * time.Second
