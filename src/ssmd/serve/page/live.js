// What happens to one instrument, as it happens.
//
// The seam: `follow(wanted, on, signal)` hands over entries in the order of receipt until `signal`
// is aborted. An entry is a row of the API's tables with its `kind`: trade, book_snapshot,
// book_delta. Whatever carries it calls `deliver`; nothing else of the page knows a transport.
import { rows } from "/page/api.js";
import { every } from "/page/poll.js";

/**
 * @typedef {import("/page/book.js").Entry} Entry
 * @typedef {{feed: string, sym: string, from: string}} Wanted `from`: ns since 1970, as text
 * @typedef {{entries: (entries: Entry[]) => void, state: (word: string, kind: string) => void}} Handlers
 */

const POLL_MS = 1000;
const AT_ONCE = 2000;
/** @type {[string, string][]} */
const TABLES = [
  ["trades", "trade"],
  ["book_snapshots", "book_snapshot"],
  ["book_deltas", "book_delta"],
];

/** @type {Set<{wanted: Wanted, on: Handlers}>} */
const followers = new Set();

/** Entries from any transport to whoever wants them. @param {Entry[]} entries */
export function deliver(entries) {
  for (const { wanted, on } of followers) {
    const mine = entries.filter((entry) => entry.feed === wanted.feed && entry.sym === wanted.sym);
    if (mine.length) on.entries(mine);
  }
}

/** @param {Wanted} wanted @param {Handlers} on @param {AbortSignal} signal */
export function follow(wanted, on, signal) {
  const follower = { wanted, on };
  followers.add(follower);
  signal.addEventListener("abort", () => followers.delete(follower));
  polled(wanted, on, signal);
}

/** The order of receipt. @param {any} a @param {any} b */
const order = (a, b) => a.recv_ns - b.recv_ns || a.nats_seq - b.nats_seq || a.nth - b.nth;

/**
 * The tables, asked each second for what is new. `from` is where the last answer ended: what is
 * there twice is told apart by its place in the stream.
 * @param {Wanted} wanted @param {Handlers} on @param {AbortSignal} signal
 */
function polled(wanted, on, signal) {
  const last = new Map(TABLES.map(([table]) => [table, { from: wanted.from, seq: 0, nth: -1 }]));
  on.state("live, each second", "good");

  /** @param {[string, string]} table @returns {Promise<Entry[]>} */
  async function fresh([table, kind]) {
    const place = /** @type {{from: string, seq: number, nth: number}} */ (last.get(table));
    const found = await rows(
      table,
      { feed: wanted.feed, symbol: wanted.sym, from: place.from, limit: AT_ONCE },
      signal,
    );
    const unseen = found.filter(
      (row) => row.nats_seq > place.seq || (row.nats_seq === place.seq && row.nth > place.nth),
    );
    const end = unseen.at(-1);
    // A number does not hold ns: a microsecond earlier is surely not too late.
    if (end)
      last.set(table, {
        from: String(BigInt(Math.floor(end.recv_ns / 1000) - 1) * 1000n),
        seq: end.nats_seq,
        nth: end.nth,
      });
    return unseen.map((row) => ({ ...row, kind }));
  }

  every(
    async () => {
      const found = (await Promise.all(TABLES.map(fresh))).flat().sort(order);
      if (found.length) deliver(found);
    },
    POLL_MS,
    signal,
  );
}
