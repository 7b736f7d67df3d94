// The choice of the guest: one that comes with the page, or a file.

import { byId, element, showError } from "./element.js";
import { GUESTS } from "./guests.js";

const DROPPED = "dropped";

export class GuestPanel {
  #select = byId("guest");
  #error = byId("guest-error");
  #droppedName;

  // `choose(id)` is called for a guest of the list, `drop(file)` for a file.
  constructor({ choose, drop }) {
    this.#select.append(...GUESTS.map(({ id, title }) => element("option", { value: id }, title)));
    this.#select.onchange = () => choose(this.#select.value);

    const file = byId("file");
    file.onchange = () => {
      if (file.files.length > 0) drop(file.files[0]);
      // The same file may be chosen again, after it has changed.
      file.value = "";
    };
    // The whole page takes a file, so that one which misses the frame does not replace the page.
    const frame = byId("drop");
    for (const type of ["dragover", "dragleave", "drop"]) {
      document.addEventListener(type, (event) => {
        // Text goes into the field that it is dropped on.
        if (!event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        frame.classList.toggle("over", type === "dragover");
        if (type === "drop") drop(event.dataTransfer.files[0]);
      });
    }
  }

  // Shows which guest is loaded, and the name of the file that was dropped last, if there is one.
  show(id, droppedName) {
    if (droppedName !== undefined && droppedName !== this.#droppedName) {
      this.#droppedName = droppedName;
      this.#select.querySelector(`[value=${DROPPED}]`)?.remove();
      this.#select.append(element("option", { value: DROPPED }, `${droppedName}, your file`));
    }
    this.#select.value = id;
    byId("about").textContent = guestById(id)?.about ?? "Your file. It is kept in this browser.";
    showError(this.#error);
  }

  showError(text) {
    showError(this.#error, text);
  }
}

export const guestById = (id) => GUESTS.find((guest) => guest.id === id);
