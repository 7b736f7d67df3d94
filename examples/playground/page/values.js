// Values that a visitor types, and values as the page shows them.

const INTEGERS = {
  i32: { low: -(2n ** 31n), high: 2n ** 32n - 1n },
  i64: { low: -(2n ** 63n), high: 2n ** 64n - 1n },
  u64: { low: 0n, high: 2n ** 64n - 1n },
};

// The value of a text: { value } or { error }. Integers are decimal or hexadecimal; those of wasm
// are signed or unsigned.
export function parse(type, text) {
  text = text.trim();
  if (text === "") return { error: `Enter an ${type}.` };
  return type in INTEGERS ? parseInteger(type, text) : parseFloating(type, text);
}

function parseInteger(type, text) {
  const [, sign, digits] = /^(-?)(0x[0-9a-f]+|[0-9]+)$/i.exec(text) ?? [];
  if (digits === undefined) return { error: `“${text}” is not an integer, such as 7, -1 or 0xff.` };
  const value = sign === "-" ? -BigInt(digits) : BigInt(digits);
  const { low, high } = INTEGERS[type];
  if (value < low || value > high) {
    return { error: `“${text}” does not fit an ${type}: ${low} to ${high}.` };
  }
  if (type === "u64") return { value };
  return { value: type === "i64" ? BigInt.asIntN(64, value) : Number(BigInt.asIntN(32, value)) };
}

const SPECIAL = { nan: NaN, inf: Infinity, "-inf": -Infinity };

function parseFloating(type, text) {
  const special = SPECIAL[text.toLowerCase()];
  if (special !== undefined) return { value: special };
  if (!/^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?$/i.test(text)) {
    return { error: `“${text}” is not a number, such as 1.5, -2e3, inf or nan.` };
  }
  const value = Number(text);
  const isTooLarge = !Number.isFinite(type === "f32" ? Math.fround(value) : value);
  return isTooLarge ? { error: `“${text}” does not fit an ${type}.` } : { value };
}

// A key: its text, or its bytes in hexadecimal if they are not UTF-8. A long one is cut.
export function showKey(key) {
  if (key.length === 0) return "(empty key)";
  const start = key.slice(0, MAX_SHOWN);
  const end = key.length > MAX_SHOWN ? "…" : "";
  if (typeof key === "string") return start + end;
  return `0x${Array.from(start, (byte) => byte.toString(16).padStart(2, "0")).join("")}${end}`;
}

// Characters or bytes of a key that are shown.
const MAX_SHOWN = 60;

// The first keys of a list, and how many more there are.
export function showKeys(keys) {
  const shown = keys.slice(0, 4).map(showKey).join(", ");
  return keys.length > 4 ? `${shown} and ${keys.length - 4} more` : shown;
}

// The selector of a watch.
export function showSelector({ kind, from, to }) {
  switch (kind) {
    case "key": return `key ${showKey(from)}`;
    case "prefix": return `prefix ${showKey(from)}`;
    case "range": return `${showKey(from)} to ${showKey(to)}`;
    case "from": return `${showKey(from)} and above`;
    default: return "all keys";
  }
}
