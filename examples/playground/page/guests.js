// The guests that come with the page. Their sources are in integration-tests/guests.

export const GUESTS = [
  {
    id: "watcher",
    title: "watcher, in Rust",
    about: "Emits, and watches its own ranges. Call follow, then emit: the guest is called back.",
    samples: [["follow", "1"], ["emit", "7", "150"], ["n_received"]],
  },
  {
    id: "watcher_c",
    title: "watcher, in C",
    about: "The same exports from the C SDK, without a libc: 11 kilobytes.",
    samples: [["follow", "1"], ["emit", "7", "150"], ["n_received"]],
  },
  {
    id: "watcher_go",
    title: "watcher, in Go",
    about: "The same exports from the Go SDK, with all of Go’s runtime: 2 megabytes.",
    samples: [["follow", "1"], ["emit", "7", "150"], ["n_received"]],
  },
  {
    id: "notices",
    title: "notices, in Rust",
    about: "Generation 2 of the guest ABI: it queues emits, and is called back with batches of notices.",
    samples: [["follow", "1"], ["queue", "7", "1"], ["queue", "8", "2"], ["flush"], ["n_received"]],
  },
  {
    id: "emitter",
    title: "emitter, in Rust",
    about: "Emits only: one key, many keys, a long key, the empty key.",
    samples: [["apply", "7"], ["emit_key", "8", "150"], ["emit_range", "9", "1", "5000"]],
  },
  {
    id: "greet",
    title: "greet, a WASI command",
    about: "Greets each line of its standard input. Run it, then send lines and end the input.",
    samples: [["_start"]],
    input: "alice\nbob",
  },
  {
    id: "quickstart",
    title: "quickstart, a commit log",
    about: "Emits each commit of a log that it reads, and prints those that touched bus/.",
    samples: [["run"]],
    input: "commit 1 a1b2 Add the bus\nbus/src/lib.rs\n\ncommit 2 b2c3 Say more\nREADME.md\n\ncommit 3 c3d4 Add a test\nbus/tests/all.rs",
  },
];

// What a first visitor sees at once.
export const DEMO = {
  guest: "watcher",
  watches: [
    { id: 1, kind: "prefix", from: "test-", to: "", mode: "coalesce", capacity: 4, isPaused: false },
    { id: 2, kind: "range", from: "test-100", to: "test-300", mode: "wake", capacity: 4, isPaused: false },
  ],
  calls: [["follow", 1], ["emit", 7n, 150], ["emit", 8n, 200]],
};
