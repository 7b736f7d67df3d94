//! Leases. The host keeps their time; here are their TTLs and the keys that are attached to them.

use crate::header;
use crate::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseLeasesResponse, LeaseRevokeRequest,
    LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use crate::range::View;
use crate::records;
use crate::status::Status;
use crate::store::Store;
use crate::write::Write;

impl<S: Store> Write<'_, S> {
    /// Adds a lease. The host has chosen an id where the client has not, and checked the TTL.
    pub(crate) fn grant(
        &mut self,
        request: LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, Status> {
        let LeaseGrantRequest { ttl, id } = request;
        if id == 0 {
            return Err(Status::LEASE_NOT_FOUND);
        }
        if records::lease_ttl(self.store, id).is_some() {
            return Err(Status::LEASE_EXISTS);
        }
        records::put_lease(self.store, id, ttl);
        Ok(LeaseGrantResponse {
            header: header::at(self.revision()),
            id,
            ttl,
            error: String::new(),
        })
    }

    /// Removes a lease and deletes the keys that are attached to it, in order.
    pub(crate) fn revoke(
        &mut self,
        request: LeaseRevokeRequest,
    ) -> Result<LeaseRevokeResponse, Status> {
        let LeaseRevokeRequest { id } = request;
        if records::lease_ttl(self.store, id).is_none() {
            return Err(Status::LEASE_NOT_FOUND);
        }
        for key in records::attached_keys(self.store, id) {
            self.delete(key, id);
        }
        records::delete_lease(self.store, id);
        Ok(LeaseRevokeResponse {
            header: header::at(self.revision()),
        })
    }
}

impl<S: Store> View<'_, S> {
    /// Returns the TTL that a lease was granted with, and its keys. The host replaces `ttl` by what
    /// remains of it; -1 is for no such lease.
    pub(crate) fn lease_keys(&self, request: LeaseTimeToLiveRequest) -> LeaseTimeToLiveResponse {
        let LeaseTimeToLiveRequest { id, keys } = request;
        let mut response = LeaseTimeToLiveResponse {
            header: header::at(self.revision),
            id,
            ttl: -1,
            ..LeaseTimeToLiveResponse::default()
        };
        if let Some(ttl) = records::lease_ttl(self.store, id) {
            (response.ttl, response.granted_ttl) = (ttl, ttl);
            if keys {
                response.keys = records::attached_keys(self.store, id);
            }
        }
        response
    }

    pub(crate) fn leases(&self) -> LeaseLeasesResponse {
        let ids = records::leases(self.store).into_iter();
        LeaseLeasesResponse {
            header: header::at(self.revision),
            leases: ids.map(|id| LeaseStatus { id }).collect(),
        }
    }
}
