//! An echo server in C, on an in-memory listener.

use std::io::{self, Read, Write};
use std::pin::pin;
use std::task::{Context, Waker};
use std::thread;

use futures::executor::block_on;
use futures::future::join;
use integration_tests::{Trace, guests, on_each_backend, run_program};
use rangewatch::wasi::PipeRecvError;
use rangewatch::wasi::net::{Connector, MemoryListener, loopback};
use rangewatch::{Runtime, Wasi, run_command};

on_each_backend! {
    messages_are_echoed_to_one_connection_after_the_other,
    connections_are_served_at_once_by_polling,
    a_host_that_blocks_talks_to_a_server_on_another_thread,
    a_server_that_is_dropped_while_it_waits_refuses_connections,
}

/// Smaller than the messages, so that both sides wait for room.
const CAPACITY_BYTES: usize = 5;

/// A message in the format of the server: a length byte and that many bytes.
fn message(len: u8) -> Vec<u8> {
    (0..=len).map(|i| len.wrapping_sub(i)).collect()
}

async fn serve(runtime: &dyn Runtime, listener: MemoryListener, mode: &str) -> Trace {
    run_program(runtime, guests::ECHO_C, |wasi| {
        wasi.args(["echo", mode]).listener(listener)
    })
    .await
}

async fn messages_are_echoed_to_one_connection_after_the_other(runtime: &dyn Runtime) -> Trace {
    async fn talk(connector: Connector) -> io::Result<()> {
        for lens in [&[0, 1, 200][..], &[], &[255, 3]] {
            let (mut echo, mut feed) = connector.connect().await?.split();
            for len in lens {
                let message = message(*len);
                feed.send(&message).await?;
                let mut echoed = Vec::new();
                while echoed.len() < message.len() {
                    echoed.extend(
                        echo.recv()
                            .await
                            .expect("the server has not closed the connection"),
                    );
                }
                assert_eq!(echoed, message);
            }
            drop(feed);
            assert_eq!(
                echo.recv().await,
                Err(PipeRecvError::Closed),
                "the server sends no more"
            );
        }
        Ok(())
    }
    let (listener, connector) = loopback(1, CAPACITY_BYTES);
    let (trace, talked) = join(serve(runtime, listener, "messages"), talk(connector)).await;
    talked.expect("no I/O error");
    assert_eq!(trace, ["exit 3", "464 bytes\n", ""]);
    trace
}

async fn connections_are_served_at_once_by_polling(runtime: &dyn Runtime) -> Trace {
    async fn talk(connector: Connector) -> io::Result<()> {
        let mut connections = Vec::new();
        for _ in 0..3 {
            connections.push(connector.connect().await?.split());
        }
        drop(connector);
        for round in 0..4_u8 {
            // All connections send before the first one is read.
            for (i, (_, feed)) in (0..).zip(&mut connections) {
                feed.send(&[round, i, round, i]).await?;
            }
            for (i, (echo, _)) in (0..3).zip(&mut connections).rev() {
                let mut echoed = Vec::new();
                while echoed.len() < 4 {
                    echoed.extend(
                        echo.recv()
                            .await
                            .expect("the server has not closed the connection"),
                    );
                }
                assert_eq!(echoed, [round, i, round, i]);
            }
        }
        for (mut echo, feed) in connections {
            drop(feed);
            assert_eq!(echo.recv().await, Err(PipeRecvError::Closed));
        }
        Ok(())
    }
    let (listener, connector) = loopback(8, CAPACITY_BYTES);
    let (trace, talked) = join(serve(runtime, listener, "poll"), talk(connector)).await;
    talked.expect("no I/O error");
    assert_eq!(trace, ["exit 3", "48 bytes\n", ""]);
    trace
}

async fn a_host_that_blocks_talks_to_a_server_on_another_thread(runtime: &dyn Runtime) -> Trace {
    let mut trace = Trace::new();
    for mode in ["messages", "poll"] {
        let (listener, connector) = loopback(1, CAPACITY_BYTES);
        let served = thread::scope(|scope| {
            let server = scope.spawn(|| block_on(serve(runtime, listener, mode)));
            let mut connection = connector.try_connect().expect("there is room");
            drop(connector);
            for len in [3, 0, 4] {
                let message = message(len);
                connection.write_all(&message).expect("the server receives");
                let mut echoed = vec![0; message.len()];
                connection
                    .read_exact(&mut echoed)
                    .expect("the server answers");
                assert_eq!(echoed, message);
            }
            drop(connection);
            server.join().expect("no panic")
        });
        trace.extend(served);
    }
    let expected = ["exit 1", "10 bytes\n", ""];
    assert_eq!(trace, [expected, expected].concat());
    trace
}

async fn a_server_that_is_dropped_while_it_waits_refuses_connections(
    runtime: &dyn Runtime,
) -> Trace {
    let (listener, connector) = loopback(2, CAPACITY_BYTES);
    let wasi = Wasi::builder()
        .args(["echo", "messages"])
        .listener(listener);
    let wasi = wasi.build().expect("valid");
    let mut connection = {
        let mut run = pin!(run_command(runtime, guests::ECHO_C, wasi));
        let mut cx = Context::from_waker(Waker::noop());
        let mut connection = connector.try_connect().expect("there is room");
        connection.write_all(&[9, 1, 2]).expect("there is room");
        // Each poll may end at a slice of fuel; this many polls reach the wait.
        for _ in 0..1_000 {
            assert!(
                run.as_mut().poll(&mut cx).is_pending(),
                "most of it is missing"
            );
        }
        connection
            .write_all(&[3, 4, 5])
            .expect("the server has taken what there was");
        connection
    };
    assert_eq!(connection.read(&mut [0]).expect("it has ended"), 0);
    let broken = connection.write(&[6]).expect_err("nobody receives");
    let refused = connector.try_connect().expect_err("nobody listens");
    vec![format!("{:?}, {:?}", broken.kind(), refused.kind())]
}
