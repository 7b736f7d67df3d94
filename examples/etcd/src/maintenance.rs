//! What the server says of itself: Maintenance.Status and Cluster.MemberList.

use tonic::{Request, Response, Status};

use crate::machine::{self, MEMBER_ID, MEMBER_NAME, Machine, RAFT_TERM};
use crate::proto::etcdserverpb::cluster_server::Cluster;
use crate::proto::etcdserverpb::maintenance_server::Maintenance;
use crate::proto::etcdserverpb::{
    Member, MemberListRequest, MemberListResponse, StatusRequest, StatusResponse,
};

/// The version of etcd whose API this is.
pub(crate) const VERSION: &str = "3.4.23";

pub(crate) struct MaintenanceService {
    pub(crate) machine: Machine,
    pub(crate) client_url: String,
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let revision = self.machine.revision();
        let db_size = self.machine.stored_bytes()?;
        Ok(Response::new(StatusResponse {
            header: Some(machine::header(revision)),
            version: VERSION.to_owned(),
            db_size,
            db_size_in_use: db_size,
            leader: MEMBER_ID,
            raft_index: revision.cast_unsigned(),
            raft_applied_index: revision.cast_unsigned(),
            raft_term: RAFT_TERM,
            ..StatusResponse::default()
        }))
    }
}

#[tonic::async_trait]
impl Cluster for MaintenanceService {
    async fn member_list(
        &self,
        _: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        Ok(Response::new(MemberListResponse {
            header: Some(machine::header(0)),
            members: vec![Member {
                id: MEMBER_ID,
                name: MEMBER_NAME.to_owned(),
                client_ur_ls: vec![self.client_url.clone()],
                ..Member::default()
            }],
        }))
    }
}
