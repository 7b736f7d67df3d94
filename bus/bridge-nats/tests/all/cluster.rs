//! Streams with three replicas, on three servers.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use async_nats::jetstream::stream::Config;
use futures::future::join_all;
use rangewatch_bridge::{Appender, Log, LogError, LogItem, Outcome, Reader};
use rangewatch_bridge_nats::{NatsLog, NatsLogBuilder, async_nats};
use rangewatch_bus::{History, RangeWatchBus, Selector};

use crate::server::{BUS, EPOCH, Program, Server, any, block_on, frames, read_until, reader_after};

on_each_server! {
    g02_writers_at_several_servers_leave_one_copy,
    g03_a_bus_gets_every_emit_across_the_loss_of_servers,
}

/// Three servers that are one cluster. `None` if the program is absent.
fn start(program: Program) -> Option<Vec<Server>> {
    // All are needed at once, so that they differ.
    let ports = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let ports = ports.map(|listener| listener.local_addr().unwrap().port());
    let routes = ports.map(|port| format!("nats://127.0.0.1:{port}"));
    let routes_of_all = routes.join(",");
    let start = |(n, route): (usize, &String)| {
        let name = format!("server-{n}");
        program.start_with(&[
            "-js",
            "--server_name",
            &name,
            "--cluster_name",
            "cluster",
            "--cluster",
            route,
            "--routes",
            &routes_of_all,
        ])
    };
    routes.iter().enumerate().map(start).collect()
}

fn log(servers: &[Server]) -> NatsLogBuilder {
    let urls: Vec<_> = servers.iter().map(Server::url).collect();
    let config = Config {
        num_replicas: 3,
        ..Default::default()
    };
    let log = NatsLog::builder(urls, BUS).unwrap().stream(config);
    log.idle(Duration::from_millis(200))
        .timeout(Duration::from_secs(2))
}

/// Begins [`EPOCH`] as soon as the cluster has found its leader.
async fn begin(log: &NatsLog) {
    loop {
        let begun = async {
            let mut writer = log.writer().await?;
            writer.begin_epoch(None, EPOCH, Some(0)).await?;
            writer.head().await
        };
        match begun.await {
            Ok(head) => return assert_eq!((head.epoch, head.value), (EPOCH, Some(0))),
            Err(LogError::Unavailable(_) | LogError::Missing) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn g02_writers_at_several_servers_leave_one_copy(program: Program) {
    let Some(servers) = start(program) else {
        return;
    };
    block_on(async {
        begin(&log(&servers).build().unwrap()).await;
        let emits = frames(1..=150);
        let write = async |server: &Server| {
            let log = log(std::slice::from_ref(server)).build().unwrap();
            let mut writer = log.writer().await.unwrap();
            let mut n_own = 0;
            // All of them store the same emit at the same time, again and again.
            for emit in &emits {
                let appended = writer.append(EPOCH, std::slice::from_ref(emit)).await;
                n_own += usize::from(appended.unwrap().outcome(emit.value()) == Outcome::Appended);
            }
            n_own
        };
        let n_own = join_all(servers.iter().map(write)).await;
        assert_eq!(n_own.iter().sum::<usize>(), 150, "{n_own:?}");
        let mut reader = reader_after(&log(&servers).build().unwrap(), 0).await;
        let is_last = |item: &LogItem| matches!(item, LogItem::Emit(frame) if frame.value() == 150);
        let mut read = read_until(&mut *reader, is_last).await;
        read.retain(|item| !matches!(item, LogItem::Progress(_)));
        assert!(read.into_iter().eq(emits.into_iter().map(LogItem::Emit)));
    });
}

fn g03_a_bus_gets_every_emit_across_the_loss_of_servers(program: Program) {
    let Some(mut servers) = start(program) else {
        return;
    };
    block_on(async {
        let log = log(&servers).build().unwrap();
        begin(&log).await;
        let source = RangeWatchBus::builder().history(History::events(10_000));
        let source = source.build().unwrap();
        let appender = Appender::builder(any(log.clone()), &source);
        tokio::spawn(appender.build().unwrap().run());
        let reader = Reader::builder(log).open().await.unwrap();
        let mut status = reader.status();
        let bus = reader.bus().clone();
        let subscription = bus.subscribe(Selector::all()).since(1);
        let mut all = subscription.events(10_000).unwrap();
        tokio::spawn(reader.run());
        let mut last = 0;
        for server in &mut servers {
            for _ in 0..100 {
                last += 1;
                source.emit(last, ["k"]).unwrap();
            }
            let before = last - 50;
            let has_some = |status: &rangewatch_bridge::Status| status.position >= Some(before);
            status.until(has_some).await.unwrap();
            // One of them is the leader.
            server.kill();
            for _ in 0..100 {
                last += 1;
                source.emit(last, ["k"]).unwrap();
            }
            let all = |status: &rangewatch_bridge::Status| status.position == Some(last);
            status.until(all).await.unwrap();
            server.restart();
        }
        for value in 1..=last {
            assert_eq!(all.recv().await.unwrap().value(), value);
        }
        let status = status.get();
        assert_eq!((status.n_gaps, status.n_foreign), (0, 0));
    });
}
