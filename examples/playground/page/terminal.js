// The output of the guest, and what was sent to its input.

import { element } from "./element.js";

// Pieces of output that are kept; older ones leave the page.
const MAX_PIECES = 1000;

export class Terminal {
  #pane;
  #decoders = {};

  constructor(pane) {
    this.#pane = pane;
  }

  // Adds bytes of a stream. A character may come in two pieces.
  write(stream, bytes) {
    this.#decoders[stream] ??= new TextDecoder();
    this.add(stream, this.#decoders[stream].decode(bytes, { stream: true }));
  }

  // Adds a line that the guest has not written.
  note(text) {
    const isLineOpen = this.#pane.textContent !== "" && !this.#pane.textContent.endsWith("\n");
    this.add("host", `${isLineOpen ? "\n" : ""}${text}\n`);
  }

  add(kind, text) {
    if (text === "") return;
    this.#pane.append(element("span", { class: kind }, text));
    while (this.#pane.childElementCount > MAX_PIECES) this.#pane.firstElementChild.remove();
    this.#pane.scrollTop = this.#pane.scrollHeight;
  }

  clear() {
    this.#pane.replaceChildren();
    this.#decoders = {};
  }
}
