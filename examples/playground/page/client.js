// The page's end of the worker.

// Rejects the calls that a worker had not answered when it was ended.
export class Stopped extends Error {}

// The engine in a worker, which can be ended at any time and started again.
export class Engine {
  #worker;
  #calls = new Map();
  #nextId = 1;
  #onReport;
  // Why the worker answers no calls any more.
  #failure;

  // `onReport(name, time, ...details)` is called for each report of the engine, in order; the time
  // is in milliseconds since 1970.
  constructor(onReport) {
    this.#onReport = onReport;
    this.#start();
  }

  #start() {
    const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.#worker = worker;
    worker.onmessage = ({ data }) => {
      // One that was ended may have sent more.
      if (worker === this.#worker) this.#receive(data);
    };
    worker.onerror = (event) => {
      if (worker === this.#worker) this.#fail(new Error(event.message || "the worker could not be loaded"));
    };
  }

  #receive({ id, result, error, reports }) {
    if (reports) {
      for (const report of reports) this.#onReport(...report);
      this.#worker.postMessage({ isSeen: true });
      return;
    }
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error));
  }

  // Resolves when the engine runs. If it does not start, all calls fail, until a restart.
  async ready() {
    try {
      await this.call("ready");
    } catch (error) {
      if (!(error instanceof Stopped)) this.#fail(error);
      throw error;
    }
  }

  get hasFailed() {
    return this.#failure !== undefined;
  }

  // Calls a method of the engine.
  call(method, ...args) {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, args });
    });
  }

  // Ends the worker, whatever it does, and starts another, which holds nothing yet.
  restart() {
    this.#worker.terminate();
    this.#failure = undefined;
    this.#end(new Stopped("stopped"));
    this.#start();
  }

  #fail(error) {
    this.#failure = error;
    this.#end(error);
  }

  #end(error) {
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }
}
