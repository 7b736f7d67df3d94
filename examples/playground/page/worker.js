// The worker: the engine, and messages between it and the page.
//
// From the page: { id, method, args }, and { isSeen: true } for each message with reports. To the
// page: { id, result } or { id, error }, and { reports: [[name, time, ...arguments], ..] } with all
// that happened, in order.

import init, { Playground, turn } from "./engine/engine.js";

let reports = [];

// Messages with reports that the page has not shown.
let nUnseen = 0;

// With as many, the guest waits for the page.
const MAX_UNSEEN = 4;

function flush() {
  if (reports.length === 0) return;
  for (const report of reports) if (report[0] === "output") report[3] = joined(report[3]);
  postMessage({ reports });
  nUnseen += 1;
  reports = [];
}

function joined(pieces) {
  const bytes = new Uint8Array(pieces.reduce((n, piece) => n + piece.length, 0));
  let end = 0;
  for (const piece of pieces) {
    bytes.set(piece, end);
    end += piece.length;
  }
  return bytes;
}

// What the engine calls while something happens. The reports of one slice of the guest make one
// message.
function report(name) {
  return (...details) => {
    if (reports.length === 0) queueMicrotask(flush);
    reports.push([name, performance.timeOrigin + performance.now(), ...details]);
  };
}

const names = ["call", "returned", "failed", "emit", "event", "span", "lagged", "ended", "callback", "notice"];
globalThis.report = Object.fromEntries(names.map((name) => [name, report(name)]));

// What is written in a row is one report.
const beginOutput = report("output");
globalThis.report.output = (stream, bytes) => {
  const last = reports.at(-1);
  if (last?.[0] === "output" && last[2] === stream) last[3].push(bytes);
  else beginOutput(stream, [bytes]);
};

// A message to itself is a turn of the event loop, without the pause that a timer makes.
const turns = new MessageChannel();
let isTurnDue = false;
let isHeld = false;
turns.port1.onmessage = () => {
  isHeld = nUnseen >= MAX_UNSEEN;
  if (isHeld) return;
  isTurnDue = false;
  turn();
};
globalThis.worker = {
  nextTurn() {
    if (isTurnDue) return;
    isTurnDue = true;
    turns.port2.postMessage(null);
  },
};

const wasm = new URL("engine/engine_bg.wasm", import.meta.url);
const playground = init({ module_or_path: wasm }).then(() => new Playground());

onmessage = async ({ data: { id, method, args, isSeen } }) => {
  if (isSeen) {
    nUnseen -= 1;
    if (isHeld) turns.port2.postMessage(null);
    isHeld = false;
    return;
  }
  let answer;
  try {
    const engine = await playground;
    const run = { call: reportedCall, ready: () => {} }[method] ?? ((engine, ...args) => engine[method](...args));
    answer = { id, result: await run(engine, ...args) };
  } catch (error) {
    answer = { id, error: error instanceof Error ? error.message : String(error) };
  }
  flush();
  postMessage(answer);
};

// A call of the guest is something that happens, too.
async function reportedCall(engine, name, args) {
  globalThis.report.call(name, args);
  try {
    const results = await engine.call(name, args);
    globalThis.report.returned(name, results);
    return results;
  } catch (error) {
    globalThis.report.failed(name, error.message);
    throw error;
  }
}
