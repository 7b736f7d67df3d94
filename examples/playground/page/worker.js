// The worker: the engine, and messages between it and the page.
//
// From the page: { id, method, args }. To the page: { id, result } or { id, error }, and
// { reports: [[name, time, ...arguments], ..] } with all that happened, in order.

import init, { Playground, turn } from "./engine/engine.js";

let reports = [];

function flush() {
  if (reports.length === 0) return;
  postMessage({ reports });
  reports = [];
}

// What the engine calls while something happens. The reports of one slice of the guest make one
// message.
function report(name) {
  return (...details) => {
    if (reports.length === 0) queueMicrotask(flush);
    reports.push([name, performance.timeOrigin + performance.now(), ...details]);
  };
}

const names = [
  "call", "returned", "failed", "emit", "event", "span", "lagged", "ended", "output", "callback", "notice",
];
globalThis.report = Object.fromEntries(names.map((name) => [name, report(name)]));

// A message to itself is a turn of the event loop, without the pause that a timer makes.
const turns = new MessageChannel();
let isTurnDue = false;
turns.port1.onmessage = () => {
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

onmessage = async ({ data: { id, method, args } }) => {
  let answer;
  try {
    const engine = await playground;
    const run = method === "call" ? reportedCall : (engine, ...args) => engine[method](...args);
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
