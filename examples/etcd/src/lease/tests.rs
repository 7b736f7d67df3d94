use std::task::{Context, Waker};

use tokio::sync::watch;

use crate::store::Store;

use super::*;

async fn service() -> (LeaseService, watch::Sender<bool>) {
    #[cfg(feature = "wasmtime")]
    let runtime = rangewatch::Wasmtime::new();
    #[cfg(not(feature = "wasmtime"))]
    let runtime = rangewatch::Wasmi::new();
    let store = Store::open(None).expect("in memory");
    let (stop, stopping) = watch::channel(false);
    let (machine, _writer) = (Machine::start(&runtime, store, stopping).await).expect("it starts");
    let service = LeaseService::start(machine).await.expect("it starts");
    (service, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_a_time_although_its_client_has_gone() {
    let (service, _stop) = service().await;
    let request = Request::new(LeaseGrantRequest { ttl: 100, id: 7 });
    let mut grant = service.lease_grant(request);
    let mut cx = Context::from_waker(Waker::noop());
    // The request has been sent, whether or not it is answered yet.
    let _ = grant.as_mut().poll(&mut cx);
    drop(grant);
    let time_to_live = || {
        let request = LeaseTimeToLiveRequest { id: 7, keys: false };
        service.lease_time_to_live(Request::new(request))
    };
    let granted = async {
        while time_to_live().await.expect("it is read").into_inner().ttl < 0 {
            tokio::task::yield_now().await;
        }
    };
    let granted = tokio::time::timeout(Duration::from_secs(60), granted).await;
    granted.expect("the lease has a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_over_is_not_kept_alive() {
    let (service, _stop) = service().await;
    let request = Request::new(LeaseGrantRequest { ttl: 100, id: 7 });
    service.lease_grant(request).await.expect("it is granted");
    assert_eq!(service.keep_alive(7), 100);
    // The task that revokes it does not run here.
    let mut times = service.leases.times.lock();
    times.get_mut(&7).expect("it has a time").end = Instant::now();
    drop(times);
    assert_eq!(service.keep_alive(7), 0);
}
