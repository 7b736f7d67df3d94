//! Clients that do not read, or ask for much.

use super::*;

/// Any of the runtimes: what is tested here does not depend on it.
fn runtime() -> Box<dyn Runtime> {
    runtimes().swap_remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stops_although_a_client_neither_sends_nor_reads_the_rest() {
    let server = Running::start(&*runtime(), Store::open(None).expect("in memory")).await;
    let mut watches = server.watch().await;
    watches.create(prefix("a/", 0)).await;
    let value = "large".repeat(100_000);
    for _ in 0..30 {
        server.put("a/1", &value).await;
    }
    let mut half = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    half.write_all(b"GET /status HTTP/1.1\r\n")
        .await
        .expect("it reads");
    server.stop().await;
    drop((watches, half));
}
