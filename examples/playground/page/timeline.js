// The picture of emits and deliveries: one lane for the guest, one for the emits, one for each
// watch, and a column for each thing that happened.

import { shape } from "./element.js";

const COLUMN = 26;
const LANE = 52;
const LEFT = 18;
// Lanes have their names above their lines.
const LINE = 34;

// Columns that are kept, which fill a wide screen; the log has all.
const MAX_COLUMNS = 200;

export class Timeline {
  #box;
  #lanes = [];
  // What happened, in order: { kind, lane, title, from, to, count }. `from` and `to` are the columns
  // of the first and the last emit that it delivers.
  #marks = [];
  // The column of the first mark that is kept.
  #first = 0;
  #columnOfSeq = new Map();
  #isDue = false;

  constructor(box) {
    this.#box = box;
    new ResizeObserver(() => this.#drawSoon()).observe(box);
  }

  // The names of the lanes: [[id, name], ..]
  setLanes(lanes) {
    this.#lanes = lanes;
    this.#drawSoon();
  }

  // Adds a mark to the lane of that id, with the numbers of the first and the last emit of it.
  add(kind, lane, title, { seq, firstSeq, lastSeq, count } = {}) {
    const column = this.#first + this.#marks.length;
    if (seq !== undefined) this.#columnOfSeq.set(seq, column);
    const to = this.#columnOfSeq.get(lastSeq);
    // The first emit may be older than the picture.
    const from = this.#columnOfSeq.get(firstSeq) ?? (to && this.#first);
    this.#marks.push({ kind, lane, title, count, from, to });
    if (this.#marks.length > MAX_COLUMNS) {
      this.#marks.shift();
      this.#first += 1;
      // The oldest number of an emit comes first.
      const [oldest, at] = this.#columnOfSeq.entries().next().value ?? [];
      if (at < this.#first) this.#columnOfSeq.delete(oldest);
    }
    this.#drawSoon();
  }

  clear() {
    this.#first += this.#marks.length;
    this.#marks = [];
    this.#columnOfSeq.clear();
    this.#drawSoon();
  }

  #drawSoon() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  #draw() {
    const width = Math.max(this.#box.clientWidth, 240);
    const height = this.#lanes.length * LANE + 8;
    const nVisible = Math.floor((width - 2 * LEFT) / COLUMN) + 1;
    const end = this.#first + this.#marks.length;
    const start = Math.max(this.#first, end - nVisible);
    const yOf = new Map(this.#lanes.map(([id], i) => [id, i * LANE + LINE]));
    const xOf = (column) => LEFT + (column - start) * COLUMN;

    const picture = shape("svg", {
      viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": this.#summary(),
    });
    for (const y of yOf.values()) picture.append(shape("line", { class: "lane", x1: 0, x2: width, y1: y, y2: y }));
    const visible = this.#marks.slice(start - this.#first).map((mark, i) => ({ mark, column: start + i }));
    const placed = visible.filter(({ mark }) => yOf.has(mark.lane));
    for (const { mark, column } of placed) {
      picture.append(...links(mark, xOf(column), yOf.get(mark.lane), yOf.get("emits"), xOf));
    }
    for (const [id, name] of this.#lanes) {
      picture.append(shape("text", { class: "name", x: 8, y: yOf.get(id) - 18 }, shorten(name, width)));
    }
    for (const { mark, column } of placed) {
      const symbol = drawn(mark, xOf(column), yOf.get(mark.lane));
      symbol.prepend(shape("title", {}, mark.title));
      picture.append(symbol);
    }
    this.#box.replaceChildren(picture);
  }

  // The picture in words.
  #summary() {
    const n = (kind) => this.#marks.filter((mark) => mark.kind === kind).length;
    return `${n("emit")} emits, ${n("event")} events, ${n("span")} spans, ${n("gap")} gaps, ` +
      `${n("call")} calls and ${n("callback")} callbacks, in the order in which they happened`;
  }
}

// What connects a delivery with its emits: a line, or a fan of all that it covers.
function links({ kind, from, to }, x, y, top, xOf) {
  if (to === undefined) return [];
  const [first, last] = [xOf(from), xOf(to)];
  if (first === last) {
    return [shape("path", { class: `link ${kind}`, d: `M${last} ${top}L${x} ${y}` })];
  }
  return [shape("path", { class: `fan ${kind}`, d: `M${first} ${top}L${last} ${top}L${x} ${y}Z` })];
}

function drawn({ kind, count }, x, y) {
  const group = shape("g", { transform: `translate(${x} ${y})`, class: `mark mark-${kind}` });
  switch (kind) {
    case "failed":
      group.append(shape("path", { class: kind, d: "M-6-6 6 6M6-6-6 6", "stroke-width": 4 }));
      break;
    case "call":
      group.append(shape("rect", { class: kind, x: -6, y: -6, width: 12, height: 12, rx: 3 }));
      break;
    case "callback":
      group.append(shape("path", { class: kind, d: "M-7 6 0-7 7 6Z" }));
      break;
    case "span":
      group.append(shape("rect", { class: kind, x: -12, y: -9, width: 24, height: 18, rx: 9 }));
      break;
    case "gap":
      group.append(shape("path", { class: kind, d: "M0-12 12 0 0 12-12 0Z" }));
      break;
    default:
      group.append(shape("circle", { class: kind, r: 6 }));
  }
  if (count !== undefined) group.append(shape("text", { class: "count" }, count > 99 ? "99+" : String(count)));
  return group;
}

// A name that fits the picture, about.
function shorten(name, width) {
  const n = Math.floor((width - 16) / 7);
  return name.length > n ? `${name.slice(0, n - 1)}…` : name;
}
