// The page: it connects the panels with the engine, and keeps what the visitor has chosen.

import { CallPanel } from "./call-panel.js";
import { Engine, Stopped } from "./client.js";
import { byId, showError } from "./element.js";
import { GuestPanel, guestById } from "./guest-panel.js";
import { DEMO, GUESTS } from "./guests.js";
import { Log } from "./log.js";
import { load, loadModule, save, saveModule } from "./state.js";
import { Terminal } from "./terminal.js";
import { Timeline } from "./timeline.js";
import { parse, showKeys, showSelector } from "./values.js";
import { WatchPanel } from "./watch-panel.js";

const INITIAL = {
  guest: DEMO.guest,
  calls: {},
  watches: DEMO.watches,
  nextWatch: 3,
  form: { kind: "prefix", from: "test-1", to: "test-300", mode: "coalesce", capacity: "16" },
  fields: { fuel: "2000000000", seconds: "", stdin: "", value: "100", keys: "test-150\ntest-250" },
};

const stored = load(INITIAL);
const state = stored ?? structuredClone(INITIAL);

// ---- What the engine reports

const log = new Log(byId("log"));
const timeline = new Timeline(byId("timeline"));
const terminal = new Terminal(byId("output"));

const lane = (watch) => `watch ${watch}`;
const watchName = (id) => showSelector(state.watches.find((watch) => watch.id === id) ?? { kind: "all" });

const reports = {
  call(time, name, args) {
    const text = `${name}(${args.join(", ")})`;
    log.add("call", text, time);
    timeline.add("call", "guest", `call ${text}`);
  },
  returned(time, name, results) {
    log.add("result", `${name} ${showResults(results)}`, time);
  },
  failed(time, name, error) {
    log.add("failed", error, time);
    timeline.add("failed", "guest", error);
  },
  emit(time, seq, value, keys, source) {
    const title = `${value}: ${showKeys(keys)}`;
    log.add("emit", `${title} (by the ${source})`, time);
    timeline.add("emit", "emits", `emit ${title}`, { seq });
  },
  event(time, watch, seq, value, keys) {
    const title = `${value}: ${showKeys(keys)}`;
    log.add("event", `${title} → ${watchName(watch)}`, time);
    timeline.add("event", lane(watch), `event ${title}`, { firstSeq: seq, lastSeq: seq });
    watchPanel.count(watch, "event");
    markFirst("first-event");
  },
  span(time, watch, kind, firstSeq, lastSeq, first, last, count) {
    const emits = count === 1n ? `1 emit, ${first}` : `${count} emits, ${first} to ${last}`;
    log.add(kind, `${emits} → ${watchName(watch)}`, time);
    timeline.add(kind, lane(watch), `${kind} of ${emits}`, { firstSeq, lastSeq, count });
    watchPanel.count(watch, kind);
    markFirst("first-event");
  },
  lagged(time, watch, count) {
    log.add("lost", `${count} events → ${watchName(watch)}`, time);
    timeline.add("gap", lane(watch), `${count} events were dropped`, { count });
    watchPanel.count(watch, "lost", Number(count));
  },
  ended(time, watch, reason) {
    log.add("ended", `${watchName(watch)}: ${reason}`, time);
    timeline.add("gap", lane(watch), `ended: ${reason}`);
    watchPanel.end(watch, reason);
  },
  output(time, stream, bytes) {
    terminal.write(stream, bytes);
  },
  callback(time, id, error) {
    const kind = error ? "failed" : "callback";
    const title = id ? `callback for the guest’s watch ${id}` : "callback with a batch of notices";
    log.add(kind, error || title, time);
    timeline.add(kind, "guest", error || title);
  },
  notice(time, text) {
    log.add("note", text, time);
  },
};

// Marks the frame that shows the first one, for a look at the speed of the page, as its test takes.
function markFirst(name) {
  requestAnimationFrame(() => {
    if (performance.getEntriesByName(name).length === 0) performance.mark(name);
  });
}

const engine = new Engine((name, time, ...details) => reports[name](time, ...details));

// ---- The guest

const guestPanel = new GuestPanel({
  choose: (id) => loadGuest(id).catch(ignoreStopped),
  drop: (file) => loadGuest("dropped", file).catch(ignoreStopped),
});

// The module that was dropped last.
let dropped;

let hasGuest = false;

// How many guests were loaded.
let nLoaded = 0;

// How many guests were asked for, of which the last counts.
let nWanted = 0;

// Loads a guest, or a file. If that fails, the one before stays. Resolves to whether the guest that
// was asked for last runs.
async function loadGuest(id, file) {
  const wanted = ++nWanted;
  const name = file?.name ?? (id === "dropped" ? dropped?.name : `${id}.wasm`);
  if (!engine.hasFailed) setStatus("loading", `Loading ${name}…`);
  try {
    const bytes = file ? new Uint8Array(await file.arrayBuffer()) : await bytesOf(id);
    if (wanted !== nWanted) return true;
    const exports = await engine.call("load", name, bytes, ...limits());
    if (wanted !== nWanted) return true;
    if (file) {
      dropped = { name, bytes };
      await saveModule(dropped).catch(() => log.add("note", "this browser does not keep the file"));
    }
    state.guest = id;
    nLoaded += 1;
    hasGuest = true;
    log.add("guest", `${name}, ${bytes.length.toLocaleString("en")} bytes`);
    terminal.clear();
    showGuest(exports);
    remember();
    setStatus("ready", "Ready");
    return true;
  } catch (error) {
    // Another worker loads its guest, or another choice does.
    if (error instanceof Stopped) throw error;
    if (wanted !== nWanted) return true;
    guestPanel.show(state.guest, dropped?.name);
    fail(guestPanel, `${name}: ${error.message}`);
    if (!engine.hasFailed) setStatus("ready", "Ready");
    return false;
  }
}

async function bytesOf(id) {
  if (id === "dropped") return dropped.bytes;
  const response = await fetch(`guests/${id}.wasm`);
  if (!response.ok) throw new Error(`the server answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

function showGuest(exports) {
  const { samples, input } = guestById(state.guest) ?? {};
  guestPanel.show(state.guest, dropped?.name);
  callPanel.show(exports, state.calls[state.guest], samples);
  // An example does not replace what a visitor has typed.
  const stdin = byId("stdin");
  if (input && (stdin.value === "" || GUESTS.some((guest) => guest.input === stdin.value))) stdin.value = input;
}

// The fuel of a call, and its seconds if they are bounded.
function limits() {
  const seconds = parse("f64", byId("seconds").value);
  return [parse("u64", byId("fuel").value).value ?? BigInt(INITIAL.fields.fuel), seconds.value];
}

byId("limits").onsubmit = async (event) => {
  event.preventDefault();
  const { error: wrongFuel } = parse("u64", byId("fuel").value);
  const seconds = byId("seconds").value.trim();
  const { error: wrongSeconds, value } = seconds === "" ? {} : parse("f64", seconds);
  const wrong = wrongFuel ?? wrongSeconds ?? (value <= 0 ? "Enter a positive number of seconds." : undefined);
  showError(byId("limits-error"), wrong);
  if (wrong) {
    const field = byId(wrongFuel ? "fuel" : "seconds");
    field.closest("details").open = true;
    field.focus();
    return;
  }
  // The last one may have failed to start.
  if (!hasGuest) {
    await loadGuest(state.guest).catch(ignoreStopped);
    return;
  }
  try {
    await engine.call("restart", ...limits());
    terminal.clear();
    showError(byId("input-error"));
    log.add("guest", "restarted");
  } catch (error) {
    fail(guestPanel, error.message);
  }
};

// ---- Calls

const callPanel = new CallPanel({ call, changed: remember });

async function call(name, args) {
  const guest = nLoaded;
  callPanel.setBusy(true);
  if (!engine.hasFailed) setStatus("busy", `Running ${name}…`);
  try {
    const results = await engine.call("call", name, args);
    callPanel.showResult(`${name}(${args.join(", ")}) ${showResults(results)}`);
    if (name === "_start") terminal.note("exited with code 0");
  } catch (error) {
    if (error instanceof Stopped) {
      callPanel.setBusy(false);
      fail(callPanel, `${name} was stopped`);
      return;
    }
    // An error of a guest that is gone is in the log.
    if (guest === nLoaded) callPanel.showError(error.message);
  }
  callPanel.setBusy(false);
  if (!engine.hasFailed) setStatus("ready", "Ready");
}

const showResults = (results) => (results.length > 0 ? `= ${results.join(", ")}` : "returned");

// The worker is ended, whatever it does; another takes the guest and the watches over.
byId("stop").onclick = async () => {
  engine.restart();
  log.add("note", "stopped: the guest and the bus start again");
  hasGuest = false;
  await start();
};

// What was stopped is begun again by the one who stopped it.
function ignoreStopped(error) {
  if (!(error instanceof Stopped)) throw error;
}

// Restores what was there. Resolves to whether it runs.
async function start() {
  try {
    await restore();
    return true;
  } catch (error) {
    if (error instanceof Stopped) return false;
    const text = `The engine does not start: ${error.message}`;
    log.add("failed", text);
    setStatus("failed", text);
    return false;
  }
}

// ---- Standard streams

byId("input").onsubmit = (event) => {
  event.preventDefault();
  const text = byId("stdin").value;
  return input(engine.call("send", `${text}\n`), text);
};

byId("end").onclick = () => input(engine.call("endInput"), "end of input");

async function input(sent, text) {
  try {
    await sent;
    terminal.note(text.replace(/^/gm, "> "));
    showError(byId("input-error"));
  } catch (error) {
    showError(byId("input-error"), error.message);
  }
}

// ---- Emits of the host

byId("emit").onsubmit = async (event) => {
  event.preventDefault();
  const field = byId("value");
  const { value, error } = parse("u64", field.value);
  field.setAttribute("aria-invalid", String(error !== undefined));
  showError(byId("emit-error"), error);
  if (error) {
    field.focus();
    return;
  }
  const keys = byId("keys").value.replace(/\n$/, "").split("\n");
  try {
    await engine.call("emit", value, keys);
    field.value = BigInt.asUintN(64, value + 1n);
    remember();
  } catch (error) {
    showError(byId("emit-error"), error.message);
  }
};

// ---- Watches

const watchPanel = new WatchPanel({
  async open(watch) {
    watch = { id: state.nextWatch++, ...watch };
    state.watches.push(watch);
    try {
      await openWatch(watch);
    } catch (error) {
      state.watches = state.watches.filter(({ id }) => id !== watch.id);
      watchPanel.showError(error.message);
      return;
    }
    watchPanel.add(watch);
    showLanes();
    remember();
  },
  pause(watch) {
    engine.call("pause", watch.id, watch.isPaused);
    remember();
  },
  close(watch) {
    engine.call("unwatch", watch.id);
    state.watches = state.watches.filter(({ id }) => id !== watch.id);
    showLanes();
    remember();
  },
  changed: remember,
});

async function openWatch({ id, kind, from, to, mode, capacity, isPaused }) {
  await engine.call("watch", id, kind, from, to, mode, capacity);
  if (isPaused) await engine.call("pause", id, true);
}

function showLanes() {
  const watches = state.watches.map((watch) => [lane(watch.id), `watch: ${showSelector(watch)}`]);
  timeline.setLanes([["guest", "guest: calls and callbacks"], ["emits", "bus: emits"], ...watches]);
}

// ---- The whole

byId("clear").onclick = () => {
  log.clear();
  timeline.clear();
};

function setStatus(name, text) {
  byId("status").dataset.state = name;
  byId("status").textContent = text;
}

function fail(panel, text) {
  panel.showError(text);
  log.add("failed", text);
}

// Keeps what the visitor has chosen.
function remember() {
  state.calls[state.guest] = callPanel.state;
  state.form = watchPanel.form;
  for (const id of Object.keys(INITIAL.fields)) state.fields[id] = byId(id).value;
  save(state);
}

// Gives a new engine the watches and the guest.
async function restore() {
  await engine.ready();
  for (const watch of state.watches) {
    try {
      await openWatch(watch);
      watchPanel.end(watch.id, "");
    } catch (error) {
      if (error instanceof Stopped) throw error;
      watchPanel.end(watch.id, error.message);
    }
  }
  return (await loadGuest(state.guest)) || (state.guest !== DEMO.guest && (await loadGuest(DEMO.guest)));
}

for (const id of Object.keys(INITIAL.fields)) byId(id).value = state.fields[id];
for (const id of Object.keys(INITIAL.fields)) byId(id).addEventListener("input", remember);
watchPanel.form = state.form;
state.watches.forEach((watch) => watchPanel.add(watch));
showLanes();
dropped = await loadModule().catch(() => undefined);
if (state.guest === "dropped" && !dropped) state.guest = DEMO.guest;

const isStarted = await start();
// The demonstration is for the first visit, unless its visitor has chosen another guest already.
if (isStarted && !stored && nWanted === 1) {
  for (const [name, ...args] of DEMO.calls) await call(name, args);
}
