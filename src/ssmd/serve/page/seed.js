// The book as it was when the view opens, and what happened to it since.
import { ask, ns, rows } from "/page/api.js";

const PAGES = 4;
const DAY_MS = 86_400_000;

/** @typedef {import("/page/book.js").Entry} Entry */

/** Rows over several answers. @param {string} table @param {any} params @param {AbortSignal} signal */
async function all(table, params, signal) {
  const found = [];
  let cursor;
  for (let i = 0; i < PAGES; i++) {
    const page = await ask(`/v1/${table}`, { ...params, limit: 10_000, cursor }, signal);
    found.push(...page.rows);
    cursor = page.next;
    if (!cursor) break;
  }
  return { found, whole: !cursor };
}

/** The newest snapshot before a time. @param {string} feed @param {string} sym @param {number} ms @param {AbortSignal} signal */
async function snapshot(feed, sym, ms, signal) {
  const day = ms - (ms % DAY_MS);
  const found = await rows(
    "book_snapshots",
    { feed, symbol: sym, from: ns(day), to: ns(ms), limit: 10_000 },
    signal,
  );
  return found.at(-1);
}

/**
 * Entries in the order of receipt, from a snapshot on, so that the book is known from `start`.
 * @param {string} feed @param {string} sym @param {number} start ms @param {number} end ms
 * @param {AbortSignal} signal @returns {Promise<Entry[]>}
 */
export async function history(feed, sym, start, end, signal) {
  const first = await snapshot(feed, sym, start, signal);
  const from = first ? String(BigInt(Math.floor(first.recv_ns / 1e6)) * 1000000n) : ns(start);
  const range = { feed, symbol: sym, to: ns(end) };
  const [trades, snapshots, deltas] = await Promise.all([
    all("trades", { ...range, from: ns(start) }, signal),
    all("book_snapshots", { ...range, from }, signal),
    all("book_deltas", { ...range, from }, signal),
  ]);
  // Changes that do not reach to the end would show a book that never was.
  const books = deltas.whole
    ? [
        ...snapshots.found.map((row) => ({ ...row, kind: "book_snapshot" })),
        ...deltas.found.map((row) => ({ ...row, kind: "book_delta" })),
      ]
    : [];
  const entries = [...trades.found.map((row) => ({ ...row, kind: "trade" })), ...books];
  return entries.sort((a, b) => a.recv_ns - b.recv_ns || a.nats_seq - b.nats_seq || a.nth - b.nth);
}
