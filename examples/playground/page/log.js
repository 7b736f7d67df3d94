// The list of all that happened.

import { element } from "./element.js";

// Entries that are kept; older ones leave the list.
const MAX_ENTRIES = 400;

export class Log {
  #list;
  #start = Date.now();
  // Entries that the next frame shows.
  #due = [];

  constructor(list) {
    this.#list = list;
  }

  // Adds an entry, at a time in milliseconds since 1970.
  add(kind, text, time = Date.now()) {
    if (this.#due.length === 0) requestAnimationFrame(() => this.#show());
    this.#due.push({ kind, text, time });
    if (this.#due.length > MAX_ENTRIES) this.#due.shift();
  }

  clear() {
    this.#due.length = 0;
    this.#list.replaceChildren();
    this.#start = Date.now();
  }

  #show() {
    const list = this.#list;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(...this.#due.splice(0).map((entry) => this.#row(entry)));
    while (list.childElementCount > MAX_ENTRIES) list.firstElementChild.remove();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }

  #row({ kind, text, time }) {
    const seconds = Math.max(0, (time - this.#start) / 1000);
    return element(
      "li",
      {},
      element("time", {}, `${seconds.toFixed(3)} s`),
      element("b", { class: kind }, kind),
      element("span", {}, text),
    );
  }
}
