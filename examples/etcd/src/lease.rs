//! The service Lease: the guest keeps the leases and their keys, the server their time.
//!
//! After a restart each lease has its whole time again, as in etcd.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::machine::{self, Machine};
use crate::proto::etcdserverpb::lease_server::Lease;
use crate::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};

/// Seconds that etcd gives a lease at most.
const MAX_TTL: i64 = 9_000_000_000;
/// And at least: what a client needs to keep it alive.
const MIN_TTL: i64 = 1;

/// Until the next attempt to revoke a lease. One fails again if the lease has more keys than a call
/// of the guest may delete, and each attempt takes time from the requests that write.
const RETRY: Duration = Duration::from_secs(60);

/// Responses of a stream that wait for its client.
const MAX_QUEUED: usize = 16;

type Answer<T> = Result<Response<T>, Status>;

/// The times of all leases. Clones share them.
#[derive(Clone)]
pub(crate) struct LeaseService {
    machine: Machine,
    leases: Arc<Leased>,
}

#[derive(Default)]
struct Leased {
    times: Mutex<HashMap<i64, Time>>,
    /// Notified when a lease was added, which may end before all others.
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Time {
    granted: i64,
    end: Instant,
}

impl Time {
    fn new(granted: i64) -> Self {
        let time = Duration::from_secs(granted.unsigned_abs());
        // `MAX_TTL` is less than what an instant can hold.
        let end = Instant::now() + time;
        Self { granted, end }
    }

    fn is_over(&self) -> bool {
        self.end <= Instant::now()
    }

    /// Seconds that remain, rounded as etcd does.
    fn left(self) -> i64 {
        let left = self.end.saturating_duration_since(Instant::now());
        i64::try_from(left.as_secs_f64().ceil() as u64).unwrap_or(MAX_TTL)
    }
}

impl LeaseService {
    /// Reads the leases of the store.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub(crate) async fn start(machine: Machine) -> Result<Self, Status> {
        let leases: LeaseLeasesResponse = machine
            .read_message("leases", &LeaseLeasesRequest {})
            .await?;
        let mut times = HashMap::new();
        for LeaseStatus { id } in leases.leases {
            let request = LeaseTimeToLiveRequest { id, keys: false };
            let lease: LeaseTimeToLiveResponse =
                machine.read_message("lease_keys", &request).await?;
            times.insert(id, Time::new(lease.granted_ttl));
        }
        let service = Self {
            machine,
            leases: Arc::new(Leased {
                times: Mutex::new(times),
                changed: Notify::new(),
            }),
        };
        Ok(service)
    }

    /// Revokes the leases whose time is over, until it is dropped.
    pub(crate) async fn expire(self) {
        loop {
            let changed = self.leases.changed.notified();
            let next = self
                .leases
                .times
                .lock()
                .iter()
                .map(|(id, time)| (time.end, *id))
                .min();
            let Some((end, id)) = next else {
                changed.await;
                continue;
            };
            tokio::select! {
                () = changed => continue,
                () = sleep_until(end) => {}
            }
            if !(self.leases.times.lock().get(&id)).is_some_and(Time::is_over) {
                continue;
            }
            // If this fails, the lease stays, and is revoked again.
            match self.revoke(id).await {
                Ok(_) => self.machine.metrics().n_leases_expired.add(1),
                Err(error) if error.code() == Code::NotFound => {}
                Err(error) => {
                    tracing::error!(%error, id, "a lease could not be revoked");
                    let retry = Instant::now() + RETRY;
                    let mut times = self.leases.times.lock();
                    times.entry(id).and_modify(|time| time.end = retry);
                }
            }
        }
    }

    async fn grant(&self, request: LeaseGrantRequest) -> Result<LeaseGrantResponse, Status> {
        let granted = self
            .machine
            .write("lease_grant", request.encode_to_vec())
            .await?;
        self.leases
            .times
            .lock()
            .insert(request.id, Time::new(request.ttl));
        self.leases.changed.notify_one();
        self.machine.metrics().n_leases_granted.add(1);
        machine::decode(&granted)
    }

    async fn revoke(&self, id: i64) -> Result<LeaseRevokeResponse, Status> {
        let request = LeaseRevokeRequest { id };
        let revoked = self
            .machine
            .write("lease_revoke", request.encode_to_vec())
            .await;
        if revoked.is_ok()
            || revoked
                .as_ref()
                .is_err_and(|error| error.code() == Code::NotFound)
        {
            self.leases.times.lock().remove(&id);
        }
        let revoked = machine::decode(&revoked?)?;
        self.machine.metrics().n_leases_revoked.add(1);
        Ok(revoked)
    }

    fn keep_alive(&self, id: i64) -> i64 {
        let mut times = self.leases.times.lock();
        // One that is over is about to be revoked.
        let Some(time) = times.get_mut(&id).filter(|time| !time.is_over()) else {
            return 0;
        };
        *time = Time::new(time.granted);
        self.machine.metrics().n_leases_renewed.add(1);
        time.granted
    }
}

#[tonic::async_trait]
impl Lease for LeaseService {
    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Answer<LeaseGrantResponse> {
        let mut request = request.into_inner();
        if request.ttl > MAX_TTL {
            return Err(Status::out_of_range("etcdserver: too large lease TTL"));
        }
        request.ttl = request.ttl.max(MIN_TTL);
        while request.id == 0 {
            let random = getrandom::u64().map_err(|error| Status::internal(error.to_string()))?;
            let id = (random >> 1).cast_signed();
            let is_free = !self.leases.times.lock().contains_key(&id);
            request.id = if is_free { id } else { 0 };
        }
        // In a task: if the client goes meanwhile, the lease has a time nevertheless.
        let service = self.clone();
        let granted = tokio::spawn(async move { service.grant(request).await });
        let granted = granted.await;
        let granted = granted.map_err(|error| Status::internal(error.to_string()))?;
        granted.map(Response::new)
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Answer<LeaseRevokeResponse> {
        self.revoke(request.into_inner().id)
            .await
            .map(Response::new)
    }

    type LeaseKeepAliveStream = ReceiverStream<Result<LeaseKeepAliveResponse, Status>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Answer<Self::LeaseKeepAliveStream> {
        let (responses, stream) = mpsc::channel(MAX_QUEUED);
        let (mut requests, leases) = (request.into_inner(), self.clone());
        tokio::spawn(async move {
            let machine = leases.machine.clone();
            let mut stopping = pin!(machine.stopping());
            loop {
                let request = tokio::select! {
                    request = requests.message() => request,
                    () = &mut stopping => return,
                };
                let id = match request {
                    Ok(Some(LeaseKeepAliveRequest { id })) => id,
                    Ok(None) => return,
                    // A request that is no message, or the client has gone.
                    Err(error) => {
                        let _ = responses.send(Err(error)).await;
                        return;
                    }
                };
                let response = LeaseKeepAliveResponse {
                    header: Some(machine::header(leases.machine.revision())),
                    id,
                    ttl: leases.keep_alive(id),
                };
                if responses.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Answer<LeaseTimeToLiveResponse> {
        let request = request.into_inner();
        let time = self.leases.times.lock().get(&request.id).copied();
        let mut response = LeaseTimeToLiveResponse {
            header: Some(machine::header(self.machine.revision())),
            id: request.id,
            ttl: time.map_or(-1, Time::left),
            granted_ttl: time.map_or(0, |time| time.granted),
            keys: Vec::new(),
        };
        if time.is_some() && request.keys {
            let lease: LeaseTimeToLiveResponse =
                self.machine.read_message("lease_keys", &request).await?;
            response.keys = lease.keys;
        }
        Ok(Response::new(response))
    }

    async fn lease_leases(&self, _: Request<LeaseLeasesRequest>) -> Answer<LeaseLeasesResponse> {
        let mut leases: Vec<_> = (self.leases.times.lock().iter())
            .map(|(id, time)| (time.end, *id))
            .collect();
        leases.sort_unstable();
        Ok(Response::new(LeaseLeasesResponse {
            header: Some(machine::header(self.machine.revision())),
            leases: leases
                .into_iter()
                .map(|(_, id)| LeaseStatus { id })
                .collect(),
        }))
    }
}

#[cfg(test)]
mod tests;
