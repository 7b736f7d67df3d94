// The output of the guest, and what was sent to its input.

import { element } from "./element.js";

// Characters that are kept; older ones leave the page.
const MAX_CHARS = 100_000;

// Pieces that are kept: what came from one stream while nothing came from the others, in one frame.
const MAX_PIECES = 1000;

export class Terminal {
  #pane;
  #decoders = {};
  // Pieces that the next frame shows: { kind, text }.
  #due = [];
  #isLineOpen = false;

  constructor(pane) {
    this.#pane = pane;
  }

  // Adds bytes of a stream. A character may come in two pieces.
  write(stream, bytes) {
    this.#decoders[stream] ??= new TextDecoder();
    this.#add(stream, this.#decoders[stream].decode(bytes, { stream: true }));
  }

  // Adds a line that the guest has not written.
  note(text) {
    this.#add("host", `${this.#isLineOpen ? "\n" : ""}${text}\n`);
  }

  clear() {
    this.#pane.replaceChildren();
    this.#decoders = {};
    this.#due.length = 0;
    this.#isLineOpen = false;
  }

  #add(kind, text) {
    if (text === "") return;
    this.#isLineOpen = !text.endsWith("\n");
    if (this.#due.length === 0) requestAnimationFrame(() => this.#show());
    const last = this.#due.at(-1);
    if (last?.kind === kind) last.text = (last.text + text).slice(-MAX_CHARS);
    else this.#due.push({ kind, text: text.slice(-MAX_CHARS) });
    if (this.#due.length > MAX_PIECES) this.#due.shift();
  }

  #show() {
    const pane = this.#pane;
    pane.append(...this.#due.splice(0).map(({ kind, text }) => element("span", { class: kind }, text)));
    let n = pane.textContent.length;
    while (pane.childElementCount > MAX_PIECES || (n > MAX_CHARS && pane.childElementCount > 1)) {
      n -= pane.firstElementChild.textContent.length;
      pane.firstElementChild.remove();
    }
    pane.scrollTop = pane.scrollHeight;
  }
}
