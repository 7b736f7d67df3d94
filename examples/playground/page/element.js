// Elements of the page.

// The element with this id.
export const byId = (id) => document.getElementById(id);

// A new element: its tag, attributes (functions are handlers of events) and children.
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

// A new element of a picture.
export function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// Shows an error beside what caused it, or removes it.
export function showError(node, text) {
  node.textContent = text ?? "";
  node.hidden = !text;
}
