package integration

import (
	"errors"
	"testing"

	pb "go.etcd.io/etcd/etcdserver/etcdserverpb"
	"go.etcd.io/etcd/pkg/types"
)

// What tests need of a real cluster. Test files that mix such tests with others have to compile;
// the tests themselves are exempt.
const needsCluster = "this needs a cluster of several servers"

// ID is that of the server, which only the server knows.
func (m *member) ID() types.ID { panic(needsCluster) }

// Pause would stop the member's Raft messages.
func (m *member) Pause() { panic(needsCluster) }

// Resume would end what Pause began.
func (m *member) Resume() { panic(needsCluster) }

// InjectPartition would cut the member's Raft connections to others.
func (m *member) InjectPartition(t testing.TB, others ...*member) { t.Fatal(needsCluster) }

// AddAndLaunchLearnerMember would add a member that has no vote.
func (c *ClusterV3) AddAndLaunchLearnerMember(t testing.TB) { t.Fatal(needsCluster) }

// GetLearnerMembers would list the members without a vote.
func (c *ClusterV3) GetLearnerMembers() ([]*pb.Member, error) { return nil, errors.New(needsCluster) }
