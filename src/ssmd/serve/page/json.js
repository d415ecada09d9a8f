// JSON laid out to read, with every digit as it came: parsing would round large numbers.
import { h } from "/page/dom.js";

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|(true|false|null)|([{}[\],])|\s+|./gs;
const MOST = 20_000;

/** @param {string} text @returns {HTMLElement} */
export function pretty(text) {
  const made = h("code.json");
  const cut = text.length > MOST;
  let depth = 0;
  let before = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [all, string, colon, number, word, sign] of text.slice(0, MOST).matchAll(TOKEN)) {
    if (!all.trim()) continue;
    const closing = sign === "}" || sign === "]";
    if (closing) depth = Math.max(0, depth - 1);
    if (
      before &&
      ((closing && !"{[".includes(before)) || (!closing && "{[".includes(before)) || before === ",")
    )
      made.append(line());
    if (string !== undefined && colon) made.append(h("span.k", {}, string), ": ");
    else if (string !== undefined) made.append(h("span.s", {}, string));
    else if (number !== undefined) made.append(h("span.n", {}, number));
    else if (word !== undefined) made.append(h("span.w", {}, word));
    else made.append(all);
    if (sign === "{" || sign === "[") depth += 1;
    before = sign ?? "x";
  }
  if (cut) made.append(`\n… ${text.length - MOST} more characters`);
  return made;
}

/** The text of one field of a JSON object, as it stands there; undefined where there is none. @param {string} text @param {string} name */
export function field(text, name) {
  const found = new RegExp(`"${name}":\\s*`).exec(text);
  if (!found) return undefined;
  const start = found.index + found[0].length;
  let depth = 0;
  for (const token of text.slice(start).matchAll(TOKEN)) {
    if (token[5] === "{" || token[5] === "[") depth += 1;
    else if (token[5] === "}" || token[5] === "]") depth -= 1;
    const at = start + token.index;
    if (depth < 0 || (depth === 0 && token[5] === ",")) return text.slice(start, at).trimEnd();
  }
  return text.slice(start);
}
