// The watches of the host: a list of those that are open, and a form for another.

import { byId, element, showError } from "./element.js";
import { parse, showSelector } from "./values.js";

const MODES = {
  wake: () => "spans",
  coalesce: (capacity) => `events, a queue of ${capacity}, then a gap`,
  lagged: (capacity) => `events, a queue of ${capacity}, then the oldest are dropped`,
  disconnect: (capacity) => `events, a queue of ${capacity}, then the end`,
};

// How a watch receives, in words.
const showMode = ({ mode, capacity }) => MODES[mode]?.(capacity) ?? mode;

const FIELDS = ["kind", "from", "to", "mode", "capacity"];

// The name of the first field, for each kind of selector.
const FROM = { prefix: "Prefix", key: "Key", range: "From", from: "From" };

export class WatchPanel {
  #list = byId("watches");
  #error = byId("watch-error");
  #rows = new Map();
  #handlers;

  // `open(watch)`, `pause(watch)` and `close(watch)` are called for a watch: { id, kind, from, to,
  // mode, capacity, isPaused }; `changed()` when the form is another.
  constructor(handlers) {
    this.#handlers = handlers;
    const form = byId("watch");
    form.oninput = () => {
      this.#fit();
      handlers.changed();
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
  }

  // The content of the form.
  get form() {
    return Object.fromEntries(FIELDS.map((id) => [id, byId(id).value]));
  }

  set form(form) {
    for (const id of FIELDS) byId(id).value = form[id];
    this.#fit();
  }

  #fit() {
    const { kind, mode } = this.form;
    byId("from").parentElement.hidden = kind === "all";
    byId("from-label").textContent = FROM[kind] ?? "";
    byId("to").parentElement.hidden = kind !== "range";
    byId("capacity").parentElement.hidden = mode === "wake";
  }

  async #submit() {
    const { kind, from, to, mode, capacity } = this.form;
    const parsed = parse("u64", capacity);
    if (mode !== "wake" && (parsed.error || parsed.value < 1n || parsed.value > 65536n)) {
      this.showError("The queue holds 1 to 65536 events.");
      byId("capacity").focus();
      return;
    }
    const watch = {
      kind, mode, isPaused: false,
      from: kind === "all" ? "" : from,
      to: kind === "range" ? to : "",
      capacity: mode === "wake" ? 1 : Number(parsed.value),
    };
    await this.#handlers.open(watch);
  }

  showError(text) {
    showError(this.#error, text);
  }

  // Shows a watch in the list.
  add(watch) {
    const name = showSelector(watch);
    const counts = element("small", {}, showMode(watch));
    const pause = element("button", {
      type: "button", "aria-pressed": String(watch.isPaused), "aria-label": `Pause ${name}`,
      click: () => {
        watch.isPaused = !watch.isPaused;
        pause.setAttribute("aria-pressed", String(watch.isPaused));
        pause.textContent = watch.isPaused ? "Paused" : "Pause";
        this.#handlers.pause(watch);
      },
    }, watch.isPaused ? "Paused" : "Pause");
    const close = element("button", {
      type: "button", "aria-label": `Close ${name}`,
      click: () => {
        this.#rows.delete(watch.id);
        row.remove();
        // The focus would be lost with the button.
        byId("kind").focus();
        this.#handlers.close(watch);
      },
    }, "Close");
    const row = element("li", {}, element("div", { class: "watch-name" }, name, counts), pause, close);
    this.#list.append(row);
    this.#rows.set(watch.id, { counts, watch, n: { event: 0, span: 0, gap: 0, lost: 0 }, end: "" });
    this.showError("");
  }

  // Counts what a watch has received.
  count(id, kind, n = 1) {
    const row = this.#rows.get(id);
    if (!row) return;
    row.n[kind] += n;
    this.#describe(row);
  }

  // Says why a watch has ended; an empty reason is that of one that runs again.
  end(id, reason) {
    const row = this.#rows.get(id);
    if (!row) return;
    row.end = reason;
    this.#describe(row);
  }

  #describe({ counts, watch, n, end }) {
    const received = Object.entries(n)
      .filter(([, n]) => n > 0)
      .map(([kind, n]) => (kind === "lost" ? `${n} lost` : `${n} ${kind}${n > 1 ? "s" : ""}`));
    counts.textContent = [showMode(watch), ...received, end && `ended: ${end}`]
      .filter(Boolean).join(" · ");
  }
}
