//! What servers refuse.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use async_nats::{ConnectOptions, jetstream};
use rangewatch_bridge::{BoxError, Log, LogError};
use rangewatch_bridge_nats::{NatsLog, OpenError, async_nats};

use crate::server::{BUS, EPOCH, Program, begun, block_on, frames, read_to, reader_after};

on_each_server! {
    a_wrong_password_is_refused,
    a_wrong_token_is_refused,
    a_request_without_the_right_to_it_is_refused,
    a_server_without_jetstream_is_refused,
    a_stream_that_cannot_be_made_is_refused,
    a_stream_that_is_full_is_tried_again,
}

fn refused(error: LogError) -> BoxError {
    match error {
        LogError::Refused(source) => source,
        error => panic!("{error:?}"),
    }
}

fn a_wrong_password_is_refused(program: Program) {
    let Some(server) = program.start_with(&["-js", "--user", "bridge", "--pass", "a@b c"]) else {
        return;
    };
    block_on(async {
        let address = server.url().replace("nats://", "");
        for credentials in ["", "bridge:wrong@", "other:a%40b%20c@", "bridge@"] {
            let url = format!("nats://{credentials}{address}");
            let log = NatsLog::new(url, BUS).unwrap();
            assert!(!format!("{log:?}").contains("wrong"), "{log:?}");
            let errors = [log.writer().await.map(drop), log.reader().await.map(drop)];
            for error in errors {
                let text = refused(error.unwrap_err()).to_string();
                assert!(text.contains("authorization violation"), "{text}");
            }
        }
        let log = NatsLog::new(format!("nats://bridge:a%40b%20c@{address}"), BUS).unwrap();
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=1)).await.unwrap();
        let log = NatsLog::builder(server.url(), BUS)
            .unwrap()
            .connect_options(|| {
                ConnectOptions::with_user_and_password("bridge".to_owned(), "a@b c".to_owned())
            });
        let log = log.build().unwrap();
        assert_eq!(read_to(&mut *reader_after(&log, 0).await, 1).await, [1]);
    });
}

fn a_wrong_token_is_refused(program: Program) {
    let Some(server) = program.start_with(&["-js", "--auth", "secret"]) else {
        return;
    };
    block_on(async {
        let address = server.url().replace("nats://", "");
        let log = NatsLog::new(format!("nats://wrong@{address}"), BUS).unwrap();
        refused(log.writer().await.map(drop).unwrap_err());
        // The first of several servers that has a token.
        let servers = [address.clone(), format!("secret@{address}")];
        drop(begun(&NatsLog::new(&servers[..], BUS).unwrap()).await);
    });
}

fn a_request_without_the_right_to_it_is_refused(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    let users = r#"
        authorization {
            users = [
                { user: all, password: p }
                { user: none, password: p, permissions: { publish: { deny: ">" } } }
                { user: deaf, password: p, permissions: { subscribe: { deny: ">" } } }
                { user: reader, password: p, permissions: {
                    publish: [
                        "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*",
                        "$JS.API.CONSUMER.CREATE.*", "$JS.API.CONSUMER.DELETE.*.*",
                        "$JS.API.CONSUMER.MSG.NEXT.*.*",
                    ],
                    subscribe: ["_INBOX.>"] } }
                { user: writer, password: p, permissions: {
                    publish: [
                        "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*",
                        "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.PURGE.*", "rangewatch.*",
                    ],
                    subscribe: ["_INBOX.>"] } }
            ]
        }
    "#;
    std::fs::write(&config, users).unwrap();
    let Some(server) = program.start_with(&["-js", "-c", config.to_str().unwrap()]) else {
        return;
    };
    block_on(async {
        let log = |user: &str| {
            let url = server
                .url()
                .replace("nats://", &format!("nats://{user}:p@"));
            NatsLog::new(url, BUS).unwrap()
        };
        for user in ["none", "deaf"] {
            let mut writer = log(user).writer().await.unwrap();
            let text = refused(writer.head().await.unwrap_err()).to_string();
            assert!(text.contains("Permissions Violation"), "{text}");
        }
        // The rights that the README lists are enough.
        let mut writer = begun(&log("writer")).await;
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
        writer.append(EPOCH, &frames(4..=6)).await.unwrap();
        assert_eq!(writer.compact(EPOCH, 4).await.unwrap(), 4);
        let mut reader = reader_after(&log("reader"), 3).await;
        assert_eq!(read_to(&mut *reader, 6).await, [4, 5, 6]);
        reader.seek(EPOCH, Some(5)).await.unwrap();
        assert_eq!(read_to(&mut *reader, 6).await, [6]);
        let mut writer = log("reader").writer().await.unwrap();
        let text = refused(writer.append(EPOCH, &frames(7..=7)).await.unwrap_err()).to_string();
        assert!(text.contains("Permissions Violation"), "{text}");
        let mut reader = log("writer").reader().await.unwrap();
        let text = refused(reader.seek(EPOCH, Some(3)).await.unwrap_err()).to_string();
        assert!(text.contains("Permissions Violation"), "{text}");
    });
}

fn a_server_without_jetstream_is_refused(program: Program) {
    let Some(server) = program.start_with(&[]) else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut writer = log.writer().await.unwrap();
        let text = refused(writer.head().await.unwrap_err()).to_string();
        assert!(text.contains("JetStream"), "{text}");
        refused(writer.begin_epoch(None, EPOCH, None).await.unwrap_err());
        let mut reader = log.reader().await.unwrap();
        refused(reader.head().await.unwrap_err());
    });
}

fn a_stream_that_cannot_be_made_is_refused(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let config = Config {
            num_replicas: 3,
            ..Default::default()
        };
        let log = server.builder().stream(config).build().unwrap();
        let mut writer = log.writer().await.unwrap();
        let begun = writer.begin_epoch(None, EPOCH, None).await;
        let text = refused(begun.unwrap_err()).to_string();
        assert!(text.contains("replicas"), "{text}");
        // The subject belongs to another stream, which must not be written to.
        let context = jetstream::new(server.client().await);
        let config = Config {
            name: "other".to_owned(),
            subjects: vec!["rangewatch.>".to_owned()],
            ..Default::default()
        };
        let mut other = context.create_stream(config).await.unwrap();
        let log = server.log();
        let mut writer = log.writer().await.unwrap();
        let error = writer.head().await.unwrap_err();
        assert!(matches!(error, LogError::Missing), "{error:?}");
        let begun = writer.begin_epoch(None, EPOCH, None).await;
        let text = refused(begun.unwrap_err()).to_string();
        assert!(text.contains("overlap"), "{text}");
        assert_eq!(other.info().await.unwrap().state.messages, 0);
    });
}

fn a_stream_that_is_full_is_tried_again(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let config = Config {
            max_messages: 3,
            discard: jetstream::stream::DiscardPolicy::New,
            ..Default::default()
        };
        let log = server.builder().stream(config).build().unwrap();
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=1)).await.unwrap();
        writer.append(EPOCH, &frames(2..=2)).await.unwrap();
        let error = writer.append(EPOCH, &frames(3..=3)).await.unwrap_err();
        let LogError::Unavailable(source) = error else {
            panic!("{error:?}");
        };
        assert!(source.to_string().contains("maximum messages"), "{source}");
        let mut writer = log.writer().await.unwrap();
        assert_eq!(writer.head().await.unwrap().value, Some(2));
        writer.compact(EPOCH, 2).await.unwrap();
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
    });
}

#[test]
fn what_cannot_be_used_is_refused_at_once() {
    let builder = || NatsLog::builder("nats://127.0.0.1:4222", BUS).unwrap();
    assert!(matches!(
        NatsLog::new("http://127.0.0.1", BUS),
        Err(OpenError::Url(_))
    ));
    assert!(matches!(
        NatsLog::new(Vec::<String>::new(), BUS),
        Err(OpenError::NoServers)
    ));
    for bus in [String::new(), "b".repeat(161)] {
        assert!(matches!(
            NatsLog::new("localhost", &bus),
            Err(OpenError::Name)
        ));
    }
    for builder in [
        builder().message_bytes(0),
        builder().read_messages(0),
        builder().idle(Duration::ZERO),
        builder().timeout(Duration::ZERO),
    ] {
        assert!(matches!(builder.build(), Err(OpenError::Bounds)));
    }
    let config = Config {
        retention: RetentionPolicy::WorkQueue,
        ..Default::default()
    };
    let error = builder().stream(config).build();
    assert!(matches!(error, Err(OpenError::Stream)));
}
