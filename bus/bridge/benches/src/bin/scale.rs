//! Computes the tables of `bus/bridge/docs/scale.md` from measured figures.
//!
//! Without arguments it prints them; `--update` writes them into the page.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the tables are the output of this program"
)]

use std::collections::HashMap;
use std::process::ExitCode;

/// Where the page is.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scale.md");

/// What `rangewatch-bridge-benches --figures` has written, by name.
struct Measured(HashMap<&'static str, f64>);

impl Measured {
    fn new() -> Self {
        let lines = include_str!("../../figures.txt").lines();
        let figures = lines.filter_map(|line| {
            let (name, value) = line.split_once(" = ")?;
            Some((name, value.parse().ok()?))
        });
        Self(figures.collect())
    }

    fn get(&self, name: &str) -> f64 {
        let figure = self.0.get(name).copied();
        figure.unwrap_or_else(|| panic!("figures.txt has no {name}: measure it"))
    }

    /// A table with a column for each engine.
    fn table(&self, name: &'static str, what: &str, rows: &[Row]) -> Table {
        let columns: Vec<_> = std::iter::once(what).chain(ENGINES).collect();
        let mut table = Table::new(name, &columns);
        for row in rows {
            let cell = |engine: &str| {
                let value = |figure: &&str| self.get(&format!("{engine}/{figure}"));
                match row.figures.iter().map(value).collect::<Vec<_>>()[..] {
                    // The server does not count it.
                    [0.0] => "-".to_owned(),
                    [value] => (row.show)(value),
                    ref values => {
                        let values: Vec<_> =
                            values.iter().map(|value| (row.show)(*value)).collect();
                        values.join(" / ")
                    }
                }
            };
            let cells = std::iter::once(row.name.to_owned()).chain(ENGINES.map(cell));
            table.rows.push(cells.collect());
        }
        table
    }
}

/// The engines of [`Measured::table`].
const ENGINES: [&str; 3] = ["redis", "redis-appendonly", "nats"];

/// A row of [`Measured::table`]: how its figures are shown, and which ones.
struct Row {
    name: &'static str,
    show: fn(f64) -> String,
    figures: &'static [&'static str],
}

const fn row(name: &'static str, show: fn(f64) -> String, figures: &'static [&'static str]) -> Row {
    Row {
        name,
        show,
        figures,
    }
}

fn measured() -> Table {
    let rows = [
        row(
            "server: append, alone / of 100",
            us,
            &["append 1/bridge server ns", "append 100/bridge server ns"],
        ),
        row(
            "server: to one reader, alone / of 100",
            us,
            &["tail 1/bridge server ns", "tail 100/bridge server ns"],
        ),
        row(
            "writer: append, of 100",
            us,
            &["append 100/bridge client ns"],
        ),
        row(
            "reader: read, emit on its bus, receive",
            us,
            &["catch-up/bridge client ns"],
        ),
        row(
            "from writer to server",
            bytes,
            &["append 100/bridge bytes received"],
        ),
        row(
            "from server to each reader",
            bytes,
            &["tail 100/bridge bytes sent"],
        ),
        row(
            "memory of the server's data",
            bytes,
            &["memory/bridge data bytes"],
        ),
        row("files of the server", bytes, &["memory/bridge disk bytes"]),
        row(
            "history of a reader's bus",
            bytes,
            &["memory/bridge reader bytes"],
        ),
        row(
            "emit to receipt at 1,000/s, p50 / p99",
            ms,
            &[
                "1,000 emits a second/bridge p50 ns",
                "1,000 emits a second/bridge p99 ns",
            ],
        ),
    ];
    Measured::new().table("measured", "per emit", &rows)
}

fn idle() -> Table {
    let rows = [
        row(
            "a log of one emit, memory of the server",
            bytes,
            &["idle/bridge log bytes"],
        ),
        row(
            "a connection that waits, memory of the server",
            bytes,
            &["idle/bridge reader bytes"],
        ),
        row(
            "the same, processor of the server in a second",
            us,
            &["idle/bridge server ns"],
        ),
        row(
            "a reader and its bus, memory of its process",
            bytes,
            &["idle/bridge client bytes"],
        ),
        row(
            "the same, processor of its process in a second",
            us,
            &["idle/bridge client ns"],
        ),
    ];
    Measured::new().table("idle", "idle", &rows)
}

/// What the tables about Redis without a file are computed from.
struct Figures {
    /// Processor time of the server per emit that is appended, in nanoseconds: alone, and in
    /// batches of 100.
    append_alone: f64,
    append: f64,
    /// Of the server per emit that a reader reads.
    tail_alone: f64,
    tail: f64,
    /// Of a reader's process per emit, its bus and one subscriber of everything included.
    reader: f64,
    /// The same on NATS, in batches of 100.
    nats_append: f64,
    nats_tail: f64,
    /// Bytes that the server sends to a reader per emit.
    sent: f64,
    /// From an emit to its receipt at 1,000 emits a second, in nanoseconds.
    p50: f64,
    /// Bytes per emit: in the memory of the server, and in its file if it has one.
    data: f64,
    disk: f64,
    /// Bytes of the server per log, and per reader that waits.
    idle_log: f64,
    idle_reader: f64,
    /// Processor time in a second of a reader that waits: of the server, and of its process.
    idle_server_ns: f64,
    idle_client_ns: f64,
    /// Measured emits per second of a reader, by the round trip in milliseconds and the entries of
    /// a read.
    far: [[f64; 2]; 2],
}

/// The round trips, in milliseconds, and the entries of a read, of [`Figures::far`].
const FAR_MS: [f64; 2] = [20.0, 80.0];
const FAR_ENTRIES: [f64; 2] = [256.0, 4096.0];

/// Bytes of a wake subscription, and of an event subscription whose queue is empty.
/// Source: bus/benches/README.md, "memory".
const WAKE_BYTES: f64 = 352.0;
const EVENTS_BYTES: f64 = 704.0;
/// Bytes of a reader of server-sent events, and the processor time of an event to one of many.
/// Source: bus/http/benches/README.md, "Results".
const HTTP_BYTES: f64 = 30.4 * 1024.0;
const HTTP_EVENT_NS: f64 = 18_780.0;

impl Figures {
    fn new() -> Self {
        let measured = Measured::new();
        let figure = |name: &str| measured.get(name);
        let far = FAR_MS.map(|ms| {
            FAR_ENTRIES.map(|n| figure(&format!("redis/distance {ms} ms, {n}/read per second")))
        });
        Self {
            append_alone: figure("redis/append 1/bridge server ns"),
            append: figure("redis/append 100/bridge server ns"),
            tail_alone: figure("redis/tail 1/bridge server ns"),
            tail: figure("redis/tail 100/bridge server ns"),
            reader: figure("redis/catch-up/bridge client ns"),
            nats_append: figure("nats/append 100/bridge server ns"),
            nats_tail: figure("nats/tail 100/bridge server ns"),
            sent: figure("redis/tail 100/bridge bytes sent"),
            p50: figure("redis/1,000 emits a second/bridge p50 ns"),
            data: figure("redis/memory/bridge data bytes"),
            disk: figure("redis-appendonly/memory/bridge disk bytes"),
            idle_log: figure("redis/idle/bridge log bytes"),
            idle_reader: figure("redis/idle/bridge reader bytes"),
            idle_server_ns: figure("redis/idle/bridge server ns"),
            idle_client_ns: figure("redis/idle/bridge client ns"),
            far,
        }
    }

    /// Emits per second that one server takes and gives to so many readers, in batches.
    fn most(&self, n_readers: f64) -> f64 {
        1e9 / n_readers.mul_add(self.tail, self.append)
    }

    /// As [`most`](Self::most), of a processor of NATS.
    fn most_on_nats(&self, n_readers: f64) -> f64 {
        1e9 / n_readers.mul_add(self.nats_tail, self.nats_append)
    }

    fn hot(&self) -> Table {
        let mut table = Table::new(
            "hot",
            &[
                "readers",
                "emits/s at most",
                "server sends then",
                "server's processor at 1,000 emits/s, each read alone",
                "emits/s at most of a processor of NATS",
            ],
        );
        for n_readers in [1.0, 10.0, 30.0, 100.0, 300.0, 1000.0] {
            let most = self.most(n_readers);
            let alone = 1000.0 * n_readers.mul_add(self.tail_alone, self.append_alone) / 1e9;
            let alone = match alone {
                ..1.0 => percent(alone),
                _ => "reads become batches".to_owned(),
            };
            table.row([
                count(n_readers),
                rate(most),
                bits(most * n_readers * self.sent),
                alone,
                rate(self.most_on_nats(n_readers)),
            ]);
        }
        table
    }

    fn million(&self) -> Table {
        let mut table = Table::new(
            "million",
            &[
                "emits/s",
                "server's processor",
                "server sends",
                "a machine reads",
                "a machine's processor, reading",
                "and 10 of its subscribers over HTTP",
            ],
        );
        let n_machines = 100.0;
        for emits in [100.0, 1000.0, 10_000.0, 50_000.0] {
            let server = emits / self.most(n_machines);
            let reading = emits * self.reader / 1e9;
            table.row([
                count(emits),
                processors(server),
                bits(emits * n_machines * self.sent),
                bits(emits * self.sent),
                percent(reading),
                processors(emits.mul_add(10.0 * HTTP_EVENT_NS / 1e9, reading)),
            ]);
        }
        table
    }

    fn tree(&self) -> Table {
        let mut table = Table::new(
            "tree",
            &[
                "machines",
                "levels",
                "readers of a server",
                "servers",
                "emits/s at most",
                "p50 at 1,000/s",
            ],
        );
        for n_machines in [100.0_f64, 1000.0, 10_000.0] {
            for levels in [1, 2, 3] {
                let fan_out = n_machines.powf(1.0 / f64::from(levels)).ceil();
                let n_servers: f64 = (0..levels).map(|level| fan_out.powi(level)).sum();
                table.row([
                    count(n_machines),
                    levels.to_string(),
                    count(fan_out),
                    count(n_servers),
                    rate(self.most(fan_out)),
                    ms(self.p50 * f64::from(levels)),
                ]);
            }
        }
        table
    }

    fn buses(&self) -> Table {
        let mut table = Table::new(
            "buses",
            &[
                "buses",
                "readers of each",
                "connections",
                "server's memory",
                "server's processor, all idle",
                "all processes', all idle",
            ],
        );
        for (n_buses, n_readers) in [
            (1000.0, 2.0),
            (1000.0, 100.0),
            (10_000.0, 2.0),
            (100_000.0, 2.0),
        ] {
            let all_readers = n_buses * n_readers;
            // Each bus has a writer, too, which looks at the log as often as a reader does.
            let connections = all_readers + n_buses;
            table.row([
                count(n_buses),
                count(n_readers),
                count(connections),
                size(n_buses.mul_add(self.idle_log, connections * self.idle_reader)),
                processors(connections * self.idle_server_ns / 1e9),
                processors(connections * self.idle_client_ns / 1e9),
            ]);
        }
        table
    }

    fn retention(&self) -> Table {
        let mut table = Table::new(
            "retention",
            &[
                "emits/s",
                "server's memory, 10 minutes",
                "an hour",
                "a day",
                "file, a day",
                "time in a history of 100,000 emits",
            ],
        );
        for emits in [10.0, 100.0, 1000.0, 10_000.0] {
            let day = 86_400.0 * emits;
            let history_seconds = 100_000.0 / emits;
            table.row([
                count(emits),
                size(600.0 * emits * self.data),
                size(3600.0 * emits * self.data),
                size(day * self.data),
                size(day * self.disk),
                match history_seconds {
                    ..120.0 => format!("{history_seconds:.0} s"),
                    ..7200.0 => format!("{:.0} min", history_seconds / 60.0),
                    _ => format!("{:.1} h", history_seconds / 3600.0),
                },
            ]);
        }
        table
    }

    fn distance(&self) -> Table {
        let mut table = Table::new(
            "distance",
            &[
                "round trip",
                "256 entries: emits/s",
                "measured",
                "4,096 entries: emits/s",
                "measured",
            ],
        );
        for round_trip_ms in [1.0, 20.0, 80.0, 150.0] {
            let mut cells = vec![format!("{round_trip_ms} ms")];
            for (i, n) in FAR_ENTRIES.into_iter().enumerate() {
                let processing = n * (self.tail + self.reader) / 1e9;
                cells.push(rate(n / (round_trip_ms / 1e3 + processing)));
                let measured = FAR_MS.iter().position(|ms| *ms == round_trip_ms);
                cells.push(measured.map_or_else(|| "-".to_owned(), |at| rate(self.far[at][i])));
            }
            table.rows.push(cells);
        }
        table
    }

    fn process(&self) -> Table {
        let mut table = Table::new(
            "process",
            &[
                "subscribers of a process",
                "wake",
                "events",
                "over HTTP",
                "one event to each, over HTTP",
            ],
        );
        for n in [10_000.0, 100_000.0, 1_000_000.0] {
            let event = n * HTTP_EVENT_NS / 1e9;
            table.row([
                count(n),
                size(n * WAKE_BYTES),
                size(n * EVENTS_BYTES),
                size(n * HTTP_BYTES),
                format!("{event:.1} s of a processor"),
            ]);
        }
        table
    }

    fn tables(&self) -> Vec<Table> {
        vec![
            measured(),
            idle(),
            self.hot(),
            self.million(),
            self.tree(),
            self.buses(),
            self.retention(),
            self.distance(),
            self.process(),
        ]
    }
}

struct Table {
    name: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(name: &'static str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned());
        Self {
            name,
            rows: vec![columns.collect()],
        }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The lines that begin and end the table in the page.
    fn marks(&self) -> [String; 2] {
        let begin = format!(
            "<!-- table {}, by bridge/benches/src/bin/scale.rs -->\n",
            self.name
        );
        [begin, "\n<!-- end -->".to_owned()]
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        for (i, cells) in self.rows.iter().enumerate() {
            text += &format!("| {} |\n", cells.join(" | "));
            if i == 0 {
                text += &format!("|{}\n", "---|".repeat(cells.len()));
            }
        }
        text
    }
}

/// The page with the tables of this program.
fn updated(page: &str) -> Result<String, String> {
    let mut page = page.to_owned();
    for table in Figures::new().tables() {
        let [begin, end] = table.marks();
        let (before, rest) = page
            .split_once(&begin)
            .ok_or_else(|| format!("the page has no place for the table {}", table.name))?;
        let (_, after) = rest
            .split_once(&end)
            .ok_or_else(|| format!("the table {} has no end", table.name))?;
        page = format!("{before}{begin}\n{}{end}{after}", table.markdown());
    }
    Ok(page)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match &args[..] {
        [] => {
            for table in Figures::new().tables() {
                println!("{}\n\n{}", table.name, table.markdown());
            }
            Ok(())
        }
        [update] if update == "--update" => std::fs::read_to_string(PAGE)
            .map_err(|error| error.to_string())
            .and_then(|page| updated(&page))
            .and_then(|page| std::fs::write(PAGE, page).map_err(|error| error.to_string())),
        _ => Err("usage: scale [--update]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn us(ns: f64) -> String {
    format!("{:.1} us", ns / 1e3)
}

fn ms(ns: f64) -> String {
    format!("{:.2} ms", ns / 1e6)
}

fn bytes(n: f64) -> String {
    format!("{n:.0} bytes")
}

fn size(n: f64) -> String {
    match n {
        ..1e6 => format!("{:.0} KB", n / 1e3),
        ..1e9 => format!("{:.0} MB", n / 1e6),
        ..1e12 => format!("{:.1} GB", n / 1e9),
        _ => format!("{:.1} TB", n / 1e12),
    }
}

fn bits(bytes_per_second: f64) -> String {
    match bytes_per_second * 8.0 {
        bits @ ..1e6 => format!("{:.0} kbit/s", bits / 1e3),
        bits @ ..1e9 => format!("{:.0} Mbit/s", bits / 1e6),
        bits => format!("{:.1} Gbit/s", bits / 1e9),
    }
}

/// Two digits.
fn rate(n: f64) -> String {
    let unit = 10_f64.powf((n.log10().floor() - 1.0).max(0.0));
    count((n / unit).round() * unit)
}

fn count(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        percent @ ..10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

/// A share of one processor, or several.
fn processors(n: f64) -> String {
    match n {
        ..1.0 => percent(n),
        _ => format!("{n:.1} processors"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_these_tables() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        assert!(
            updated(&page).unwrap() == page,
            "run `cargo run -p rangewatch-bridge-benches --bin scale -- --update`, and read the text again"
        );
    }

    #[test]
    fn the_figures_of_others_are_those_of_their_pages() {
        let bus = include_str!("../../../../benches/README.md");
        assert!(bus.contains(&format!("wake {WAKE_BYTES} ")));
        assert!(bus.contains(&format!("events with an empty queue {EVENTS_BYTES} ")));
        let http = include_str!("../../../../http/benches/README.md");
        let memory = format!(
            "| memory of a reader that reads | {:.1} KiB |",
            HTTP_BYTES / 1024.0
        );
        assert!(http.contains(&memory));
        let event = format!(
            "| processor time of an event to one of many | {:.2} us |",
            HTTP_EVENT_NS / 1e3
        );
        assert!(http.contains(&event));
    }
}
