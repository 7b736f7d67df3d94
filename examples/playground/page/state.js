// What survives a reload: choices and inputs in localStorage, a dropped module in IndexedDB.

const KEY = "rangewatch-playground";

// The stored state, if it has the shape of a model; otherwise `null`, as at the first visit, or if
// the browser keeps none.
export function load(model) {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY));
    const isCall = (call) => hasShape(call, { name: "", texts: {} });
    return hasShape(stored, model) && Object.values(stored.calls).every(isCall) ? stored : null;
  } catch {
    return null;
  }
}

// Whether a value has the type of a model, the fields of an object and the items of an array too.
function hasShape(value, model) {
  if (Array.isArray(model)) return Array.isArray(value) && value.every((item) => hasShape(item, model[0]));
  if (typeof value !== typeof model) return false;
  if (typeof model !== "object") return true;
  return value !== null && Object.keys(model).every((name) => hasShape(value[name], model[name]));
}

export function save(state) {
  try {
    localStorage.setItem(KEY, JSON.stringify(state));
  } catch {
    // A browser that keeps nothing shows the page all the same.
  }
}

// The module that was dropped last: { name, bytes }, or `undefined`.
export function loadModule() {
  return withModules("readonly", (modules) => modules.get("dropped"));
}

export function saveModule(module) {
  return withModules("readwrite", (modules) => modules.put(module, "dropped"));
}

async function withModules(mode, use) {
  const database = await settled(indexedDB.open(KEY, 1), (request) => {
    request.onupgradeneeded = () => request.result.createObjectStore("modules");
  });
  try {
    const transaction = database.transaction("modules", mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const [result] = await Promise.all([settled(use(transaction.objectStore("modules"))), done]);
    return result;
  } finally {
    database.close();
  }
}

function settled(request, prepare) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    prepare?.(request);
  });
}
