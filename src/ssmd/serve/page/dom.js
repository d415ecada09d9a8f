// Elements. What comes from outside goes in as text or as an attribute's value, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {Node | string | number | null | undefined | false | any[]} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | EventListener>} Properties
 */

/** @param {Element} to @param {Child[]} children */
function fill(to, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) to.append(/** @type {any} */ (child));
  }
}

/** @param {Element} made @param {Properties} properties */
function dress(made, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, String(value));
  }
}

/**
 * An HTML element: `h("p.soft", {title: "x"}, "text", child)`. Functions are listeners.
 * @param {string} spec @param {Properties} [properties] @param {...Child} children
 * @returns {any}
 */
export function h(spec, properties = {}, ...children) {
  const [name, ...classes] = spec.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  dress(made, properties);
  fill(made, children);
  return made;
}

/**
 * An SVG element.
 * @param {string} name @param {Properties} [properties] @param {...Child} children
 */
export function svg(name, properties = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  dress(made, properties);
  fill(made, children);
  return made;
}

/** Text that changes often: the DOM is touched only when it differs. @param {Node} node @param {string} text */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A column's heading. @param {string} text @param {string} [kind] */
export const th = (text, kind = "") => h(`th${kind && `.${kind}`}`, { scope: "col" }, text);

/** @param {string} text @param {string} [hint] */
export function empty(text, hint) {
  return h("div.empty", {}, h("p", {}, text), hint && h("p.soft", {}, hint));
}

/** @param {string} text */
export const loading = (text) => h("p.loading", { role: "status" }, text);

/**
 * Choices of which one holds.
 * @template T
 * @param {string} label @param {[T, string][]} options @param {T} chosen @param {(value: T) => void} choose
 */
export function segmented(label, options, chosen, choose) {
  const group = h("div.segmented", { role: "group", "aria-label": label });
  for (const [value, text] of options) {
    const button = h("button", { type: "button", "aria-pressed": String(value === chosen) }, text);
    button.addEventListener("click", () => {
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
      choose(value);
    });
    group.append(button);
  }
  return group;
}
