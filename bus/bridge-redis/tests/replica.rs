//! Readers of a replica.

mod server;

use rangewatch_bridge::{AppendError, LogError, Reader, Writer};
use rangewatch_bridge_redis::RedisLog;

use server::{Server, block_on};

#[test]
fn a_reader_of_a_replica_gets_what_is_appended_to_the_primary() {
    let Some(primary) = Server::start(&["--repl-diskless-sync-delay", "0"]) else {
        return;
    };
    let primary_port = primary.port().to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary_port]);
    let replica = replica.expect("the primary has started");
    let log = |server: &Server| RedisLog::new(server.url(), "bus").unwrap();
    block_on(async {
        let mut writer = Writer::open(log(&primary)).await.unwrap();
        writer.append(1, ["key"]).await.unwrap();
        // Waits until the replica has the log.
        let reader = Reader::builder(log(&replica)).open().await.unwrap();
        let mut all = reader.bus().subscribe(..).since(1).events(16).unwrap();
        tokio::spawn(reader.run());
        writer
            .append_many([(2, ["key"]), (3, ["key"])])
            .await
            .unwrap();
        for value in 1..=3 {
            assert_eq!(all.recv().await.unwrap().value(), value);
        }

        let mut writer = Writer::open(log(&replica)).await.unwrap();
        let refused = writer.append(4, ["key"]).await;
        assert!(
            matches!(refused, Err(AppendError::Log(LogError::Unavailable(_)))),
            "{refused:?}"
        );
    });
}
