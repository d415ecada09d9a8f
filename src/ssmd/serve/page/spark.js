// A curve of a few numbers, without axes.
import { svg } from "/page/dom.js";

/**
 * @param {number[]} values @param {string} label what a screen reader says of it
 * @param {{zero?: boolean}} [options] zero: the ground line is 0, else the least value
 */
export function spark(values, label, { zero = true } = {}) {
  const top = Math.max(...values);
  const ground = zero ? 0 : Math.min(...values);
  const height = top - ground || 1;
  const y = (/** @type {number} */ value) =>
    values.length && top === ground && !zero ? 0.5 : 0.96 - (0.9 * (value - ground)) / height;
  const line = values.map((value, i) => `${i ? "L" : "M"}${i} ${y(value).toFixed(3)}`).join("");
  const last = Math.max(values.length - 1, 1);
  return svg(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${last} 1`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    svg("path", { class: "area", d: `${line}L${last} 1L0 1Z` }),
    svg("path", { class: "line", d: line }),
  );
}
