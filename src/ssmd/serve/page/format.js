// Numbers, times and symbols as people read them. Everything is UTC.

/** @param {number} n @param {number} [digits] */
export const count = (n, digits = 0) => n.toLocaleString("en", { maximumFractionDigits: digits });

/** Few characters for a large number. @param {number} n */
export const compact = (n) =>
  n < 10_000 ? count(n) : n.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 });

/** @param {number} n */
export const rate = (n) => count(n, n < 10 ? 1 : 0);

/** @param {number} bytes */
export function size(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0;
  for (; bytes >= 1000 && at < units.length - 1; at++) bytes /= 1000;
  return `${count(bytes, bytes < 10 && at ? 1 : 0)} ${units[at]}`;
}

/** A share in percent, rounded down: what is not whole never reads 100 %. @param {number | null | undefined} share */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  const cut = Math.floor(share * 1000 + 1e-9) / 10;
  if (share > 0 && cut === 0) return "< 0.1 %";
  return `${Number.isInteger(cut) ? cut : cut.toFixed(1)} %`;
}

/** How long ago. @param {number} seconds */
export const ago = (seconds) => (seconds < 1 ? "now" : `${duration(Math.floor(seconds))} ago`);

/** What is left of a whole, rounded up: the other part was rounded down. @param {number} share */
export const rest = (share) => `${(Math.ceil(share * 1000 - 1e-9) / 10).toFixed(1).replace(".0", "")} %`;

/** A change in percent, with its sign, and the class that colours it. @param {number} share @returns {[string, string]} */
export function change(share) {
  const text = Math.abs(share * 100).toFixed(2);
  if (Number(text) === 0) return [`${text} %`, "soft"];
  return share > 0 ? [`+${text} %`, "up"] : [`−${text} %`, "down"];
}

/** @param {number} n @param {string} one */
export const plural = (n, one) => `${count(n)} ${one}${n === 1 ? "" : "s"}`;

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1).replace(".0", "")} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** @param {number} ms */
export const milliseconds = (ms) => (ms < 1000 ? `${count(ms, ms < 10 ? 1 : 0)} ms` : duration(ms / 1000));

/** HH:MM:SS of ns since 1970. @param {number} ns @param {number} [digits] */
export function clock(ns, digits = 0) {
  const text = new Date(ns / 1e6).toISOString();
  return text.slice(11, digits ? 20 + digits : 19);
}

/** @param {number} ns */
export const moment = (ns) => `${day(new Date(ns / 1e6).toISOString())}, ${clock(ns)}`;

/** @param {string} date @param {boolean} [long] */
export const day = (date, long = false) =>
  new Date(date).toLocaleDateString("en-GB", {
    day: "numeric",
    month: "short",
    timeZone: "UTC",
    ...(long ? { year: "numeric", weekday: "short" } : {}),
  });

/** Exact decimal text with its thousands apart. @param {string} text */
export function decimal(text) {
  const [, sign, whole, rest] = /^(-?)(\d+)(\.\d+)?$/.exec(text) ?? [];
  return whole === undefined ? text : sign + whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest ?? "");
}

/** Digits after the point. @param {string} text */
const places = (text) => text.split(".")[1]?.length ?? 0;

/** Digits after the point that multiples of a step need. @param {number} step */
export function stepDigits(step) {
  for (let most = 0; most < 10; most++) {
    const whole = step * 10 ** most;
    if (Math.abs(whole - Math.round(whole)) < 1e-6 * whole) return most;
  }
  return 10;
}

/** As many digits after the point as the longest has. @param {string[]} texts */
export const digits = (texts) => texts.reduce((most, text) => Math.max(most, places(text)), 0);

/** Exact decimal text, filled up with zeros. @param {string} text @param {number} most */
export function aligned(text, most) {
  const missing = most - places(text);
  return decimal(missing > 0 ? `${text}${places(text) ? "" : "."}${"0".repeat(missing)}` : text);
}

/** Sizes under each other: the same digits for all, at most four. @param {number[]} sizes */
export function column(sizes) {
  const most = sizes.some((one) => one >= 100_000)
    ? 0
    : Math.min(4, digits(sizes.map((one) => String(Number(one.toFixed(4))))));
  return (/** @type {number} */ one) =>
    one >= 1e6
      ? compact(one)
      : one > 0 && one < 0.00005
        ? one.toExponential(1)
        : one.toLocaleString("en", { minimumFractionDigits: most, maximumFractionDigits: most });
}

/** A size, with no more digits than can be told apart. @param {number} n */
export const amount = (n) =>
  n >= 10_000 ? compact(n) : n.toLocaleString("en", { maximumSignificantDigits: 5 });

/** A long symbol with its middle left out; give the whole as a title. @param {string} sym @param {number} [most] */
export const short = (sym, most = 24) =>
  sym.length <= most ? sym : `${sym.slice(0, Math.ceil(most / 2))}…${sym.slice(-Math.floor(most / 2) + 1)}`;

/** An identifier as words: `disk_full`. @param {string} word */
export const words = (word) => word.replaceAll("_", " ").trim();
