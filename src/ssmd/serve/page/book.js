// An order book, rebuilt from records as the server's own `Book` does it.

/**
 * @typedef {{kind: string, feed: string, sym: string, recv_ns: number, ts_ns: number | null, op?: string,
 *   bids: [string, string][], asks: [string, string][], price?: string, size?: string, side?: string}} Entry
 * @typedef {{price: string, at: number, size: number}} Level
 */

export class Book {
  /** @type {Map<string, Level>} */ bids = new Map();
  /** @type {Map<string, Level>} */ asks = new Map();
  /** A snapshot has been applied. */
  synced = false;

  /** @param {number} [depth] levels a side is cut to, where the exchange deletes none that fall out (Kraken) */
  constructor(depth = Infinity) {
    this.depth = depth;
  }

  /** @param {Entry} record */
  apply(record) {
    if (record.kind === "book_snapshot") {
      this.bids.clear();
      this.asks.clear();
      this.synced = true;
    } else if (!this.synced) return;
    const add = record.op === "add";
    change(this.bids, record.bids ?? [], add);
    change(this.asks, record.asks ?? [], add);
    if (this.bids.size > this.depth) this.bids = cut(this.top("bids", this.depth));
    if (this.asks.size > this.depth) this.asks = cut(this.top("asks", this.depth));
  }

  /** The best levels of a side, best first. @param {"bids" | "asks"} side @param {number} [most] */
  top(side, most = Infinity) {
    const sign = side === "bids" ? -1 : 1;
    return [...this[side].values()].sort((a, b) => sign * (a.at - b.at)).slice(0, most);
  }
}

/** @param {Map<string, Level>} side @param {[string, string][]} levels @param {boolean} add */
function change(side, levels, add) {
  for (const [price, text] of levels) {
    // Floats serve to draw; a remainder of their rounding is no level.
    const size = Number(text) + (add ? (side.get(price)?.size ?? 0) : 0);
    if (size > 1e-9) side.set(price, { price, at: Number(price), size });
    else side.delete(price);
  }
}

/** @param {Level[]} levels */
const cut = (levels) => new Map(levels.map((level) => [level.price, level]));

/** The step between prices: the least difference of neighbours. @param {Level[]} levels */
export function tick(levels) {
  let least = Infinity;
  for (let i = 1; i < levels.length; i++) {
    const step = Math.abs(levels[i].at - levels[i - 1].at);
    if (step > 0 && step < least) least = step;
  }
  return least;
}
