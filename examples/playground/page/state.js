// What survives a reload: choices and inputs in localStorage, a dropped module in IndexedDB.

const KEY = "rangewatch-playground";

// The stored state, or `null` at the first visit, or if the browser keeps none.
export function load() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
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
    return await settled(use(database.transaction("modules", mode).objectStore("modules")));
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
