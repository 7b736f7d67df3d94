//! Users, permissions, and servers that are not there.

use etcd_client::{Client, ConnectOptions, Permission};
use futures::StreamExt;
use rangewatch_bridge::{Log, LogError, ReadError};
use rangewatch_bridge_etcd::EtcdSource;
use rangewatch_bus::{Selector, Selectors};

use crate::server::{Server, block_on};
use crate::{reader, source};

/// Enables authentication: `root` with the password `root`, and `reader` with the password `secret`
/// who may read `p/`.
async fn protect(server: &Server) -> Client {
    let mut client = server.client().await;
    client.put("p/a", "1", None).await.unwrap();
    client.put("q/a", "1", None).await.unwrap();
    client.user_add("root", "root", None).await.unwrap();
    client.role_add("root").await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.user_add("reader", "secret", None).await.unwrap();
    client.role_add("reads").await.unwrap();
    let permission = Permission::read("p/").with_prefix();
    client
        .role_grant_permission("reads", permission)
        .await
        .unwrap();
    client.user_grant_role("reader", "reads").await.unwrap();
    client.auth_enable().await.unwrap();
    let root = ConnectOptions::new().with_user("root", "root");
    Client::connect([server.url()], Some(root)).await.unwrap()
}

fn is_refused<T>(result: Result<T, LogError>) -> bool {
    match result {
        Err(LogError::Refused(_)) => true,
        Err(error) => panic!("{error}"),
        Ok(_) => false,
    }
}

#[test]
fn a_user_reads_what_it_may_read() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut root = protect(&server).await;
        let source = source(&server.url(), "p/").user("reader", "secret");
        let source = source.build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let mut events = reader.bus().subscribe(..).since(0).events(10).unwrap();
        let running = tokio::spawn(reader.run());
        root.put("p/b", "2", None).await.unwrap();
        for key in ["p/a", "p/b"] {
            assert!(events.recv().await.unwrap().keys().eq([key.as_bytes()]));
        }
        let (_, scan) = source
            .scan(Selectors::from([Selector::all()]))
            .await
            .unwrap();
        let keys: Vec<_> = scan.map(|entry| entry.unwrap().0).collect().await;
        assert_eq!(keys, ["p/a", "p/b"]);
        running.abort();
    });
}

#[test]
fn what_a_user_may_not_read_is_refused() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let _root = protect(&server).await;
        let url = server.url();
        let reads = |keys: &str| source(&url, keys).user("reader", "secret");
        for source in [reads("q/"), reads("p"), reads(""), source(&url, "p/")] {
            let source = source.build().unwrap();
            let mut reader = source.reader().await.unwrap();
            assert!(is_refused(reader.head().await));
            assert!(is_refused(reader.seek(1, Some(1)).await));
            assert!(is_refused(
                source.scan(Selectors::from([Selector::all()])).await
            ));
        }
        let wrong = source(&url, "p/").user("reader", "wrong").build().unwrap();
        assert!(is_refused(wrong.reader().await));
        let opened = reader(&wrong).open().await;
        assert!(
            matches!(opened, Err(ReadError::Log(LogError::Refused(_)))),
            "{opened:?}"
        );
    });
}

#[test]
fn a_user_without_authentication_is_refused() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let source = source(&server.url(), "p/").user("reader", "secret");
        assert!(is_refused(source.build().unwrap().reader().await));
    });
}

#[test]
fn nobody_at_the_address_is_unavailable() {
    block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let source = EtcdSource::builder([format!("http://{address}")])
            .build()
            .unwrap();
        let error = match source.reader().await {
            Ok(mut reader) => reader.head().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, LogError::Unavailable(_)), "{error}");
        let scanned = source.scan(Selectors::from([Selector::all()])).await;
        assert!(
            matches!(scanned, Err(LogError::Unavailable(_))),
            "{scanned:?}"
        );
    });
}

#[test]
fn an_address_that_is_none_is_refused() {
    block_on(async {
        let source = EtcdSource::builder(["http://not an address"])
            .build()
            .unwrap();
        assert!(is_refused(source.reader().await));
    });
}
