//! What the page weighs, and how soon it shows something.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

use playground::Server;

use crate::page::{DESK, Page};

const MAX_BYTES: usize = 3_000_000;

/// About a second, and some more for a machine that does other things as well.
const MAX_MS: f64 = 3_000.0;

/// The bytes of all files of a folder, compressed one by one.
fn compressed_bytes(folder: &Path) -> usize {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let bytes = |path: std::path::PathBuf| {
        if path.is_dir() {
            return compressed_bytes(&path);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&fs::read(path).unwrap()).unwrap();
        encoder.finish().unwrap().len()
    };
    files.map(bytes).sum()
}

#[test]
fn the_whole_page_weighs_less_than_three_megabytes_compressed() {
    let out = playground::default_out();
    let all = compressed_bytes(&out);
    let guests = compressed_bytes(&out.join("guests"));
    println!("compressed: {all} bytes, of which {guests} are guests, loaded when they are chosen");
    assert!(all < MAX_BYTES, "{all}");
}

#[test]
fn the_server_serves_its_folder_alone() {
    let folder = playground::default_out().join("guests");
    let server = Server::start(&folder, "127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(server.address()).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut status = |path: &str| {
        write!(&stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
        let mut lines = answers.by_ref().lines().map_while(Result::ok);
        let status = lines.next().unwrap();
        let length =
            lines.find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
        lines.find(String::is_empty).unwrap();
        answers.read_exact(&mut vec![0; length.unwrap()]).unwrap();
        status
    };
    for path in [
        "/../index.html",
        "/%2e%2e/index.html",
        "//etc/passwd",
        "/none.wasm",
        "emitter.wasm",
    ] {
        assert_eq!(status(path), "HTTP/1.1 404 Not Found", "{path}");
    }
    assert_eq!(status("/emitter.wasm"), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn the_first_event_is_shown_about_a_second_after_the_start() {
    const N_LOADS: usize = 5;
    let mut times_ms = Vec::new();
    for _ in 0..N_LOADS {
        // A browser that has never seen the page.
        let mut page = Page::open().await;
        page.wait_for("performance.getEntriesByName('first-event').length > 0")
            .await;
        let shown = page
            .evaluate("performance.getEntriesByName('first-event')[0].startTime")
            .await;
        times_ms.push(shown.as_f64().unwrap());
    }
    times_ms.sort_by(f64::total_cmp);
    let median = times_ms[N_LOADS / 2];
    println!("first event after {median:.0} ms, the median of {times_ms:.0?}");
    assert!(median < MAX_MS, "{times_ms:?}");
}

#[tokio::test]
async fn an_engine_that_does_not_load_is_said() {
    for missing in ["engine/engine_bg.wasm", "engine/engine.js", "worker.js"] {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("page");
        let copied = Command::new("cp")
            .arg("-r")
            .args([&playground::default_out(), &copy])
            .status();
        assert!(copied.unwrap().success());
        fs::remove_file(copy.join(missing)).unwrap();
        let server = Server::start(&copy, "127.0.0.1:0").unwrap();
        let url = format!("http://{}/", server.address());
        let mut page = Page::open_at(&url, DESK, "light").await;
        page.wait_for("document.getElementById('status').dataset.state === 'failed'")
            .await;
        page.wait_for_text("#status", "The engine does not start")
            .await;
        // A call says so, too.
        page.click("button[form=emit], #emit button").await;
        page.wait_for("!document.getElementById('emit-error').hidden")
            .await;
        let status = page.text("#status").await;
        assert!(status.starts_with("The engine does not start"), "{status}");
    }
}
