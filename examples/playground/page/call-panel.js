// The call of an export: a field for each parameter, and calls to try.

import { byId, element, showError } from "./element.js";
import { parse } from "./values.js";

// What an ABI calls, and no visitor.
const isHidden = (name) => name.startsWith("__") || name === "_initialize";

export class CallPanel {
  #select = byId("export");
  #parameters = byId("parameters");
  #button = byId("call-button");
  #isBusy = false;
  #error = byId("call-error");
  #exports = new Map();
  #texts = {};
  #changed;

  // `call(name, args)` is called with values of the types of the export, `changed()` when the
  // state is another.
  constructor({ call, changed }) {
    this.#changed = changed;
    this.#select.onchange = () => {
      this.#showParameters();
      changed();
    };
    byId("call").onsubmit = (event) => {
      event.preventDefault();
      if (this.#isBusy) return;
      const args = this.#read();
      if (args) call(this.#select.value, args);
    };
  }

  // The choices of the visitor, to be kept.
  get state() {
    return { name: this.#select.value, texts: this.#texts };
  }

  // Shows the exports of a guest, with earlier choices, and calls to try.
  show(exports, { name, texts } = {}, samples = []) {
    this.#exports = new Map(exports.filter(([name]) => !isHidden(name)).map(([name, params, results]) => [name, { params, results }]));
    this.#texts = { ...Object.fromEntries(samples.map(([name, ...texts]) => [name, texts])), ...texts };
    const options = [...this.#exports].map(([name, { params, results }]) => {
      const ends = results.length > 0 ? ` → ${results.join(", ")}` : "";
      return element("option", { value: name }, `${name}(${params.join(", ")})${ends}`);
    });
    this.#select.replaceChildren(...options);
    this.#select.value = this.#exports.has(name) ? name : (samples[0]?.[0] ?? options[0]?.value ?? "");
    this.#button.disabled = options.length === 0;
    byId("result").textContent = "";
    showError(this.#error, options.length === 0 ? "The module exports no function to call." : "");
    this.#showParameters();
    byId("samples").replaceChildren(...samples.map(([name, ...texts]) => {
      const click = () => this.#try(name, texts);
      return element("button", { type: "button", click }, `${name}(${texts.join(", ")})`);
    }));
  }

  // A button that is disabled would lose the focus.
  setBusy(isBusy) {
    this.#isBusy = isBusy;
    this.#button.setAttribute("aria-disabled", String(isBusy));
    this.#button.textContent = isBusy ? "Running…" : "Call";
  }

  showResult(text) {
    byId("result").textContent = text;
    showError(this.#error);
  }

  showError(text) {
    byId("result").textContent = "";
    showError(this.#error, text);
  }

  #try(name, texts) {
    this.#select.value = name;
    this.#texts[name] = texts;
    this.#showParameters();
    if (!this.#button.disabled && !this.#isBusy) byId("call").requestSubmit();
  }

  #showParameters() {
    const name = this.#select.value;
    const { params = [] } = this.#exports.get(name) ?? {};
    const texts = this.#texts[name] ?? [];
    this.#parameters.replaceChildren(...params.map((type, i) => {
      const id = `argument-${i}`;
      const input = () => {
        this.#texts[name] = this.#typed();
        this.#changed();
      };
      return element(
        "div", {},
        element("label", { for: id }, `Argument ${i + 1} `, element("span", { class: "type" }, type)),
        element("input", { id, value: texts[i] ?? "0", autocomplete: "off", "aria-describedby": `${id}-error`, input }),
        element("p", { id: `${id}-error`, class: "error", hidden: true }),
      );
    }));
  }

  #typed() {
    return Array.from(this.#parameters.querySelectorAll("input"), (input) => input.value);
  }

  // The arguments, or `undefined` if one is no value of its type, which then has the focus.
  #read() {
    const { params } = this.#exports.get(this.#select.value);
    const inputs = [...this.#parameters.querySelectorAll("input")];
    const parsed = inputs.map((input, i) => {
      const result = parse(params[i], input.value);
      input.setAttribute("aria-invalid", String(result.error !== undefined));
      showError(byId(`argument-${i}-error`), result.error);
      return result;
    });
    const wrong = parsed.findIndex(({ error }) => error !== undefined);
    if (wrong < 0) return parsed.map(({ value }) => value);
    byId("result").textContent = "";
    inputs[wrong].focus();
    return undefined;
  }
}
