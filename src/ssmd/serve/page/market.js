// What is known of one instrument: bars, last trades, book, and the book over time. All of it is
// bounded: however much comes in, no more is kept.
import { Book } from "/page/book.js";
import { Heat, STEP_MS } from "/page/heat.js";

const MOST_BARS = 1500;
const MOST_DOTS = 600;
const TAPE = 40;
/** Depths that Kraken sells: it deletes no level that falls out of them. */
const DEPTHS = [10, 25, 100, 500, 1000];

/** @typedef {import("/page/book.js").Entry} Entry */

export class Market {
  /** @type {import("/page/chart.js").Bar[]} */ bars = [];
  /** @type {{t: number, price: number, buy: boolean}[]} */ dots = [];
  /** Newest first. @type {Entry[]} */ tape = [];
  heat = new Heat();
  book = new Book();
  updates = 0;

  /** @param {string | null} exchange @param {number} step ms of a bar */
  constructor(exchange, step) {
    this.cuts = exchange === "kraken";
    this.step = step;
  }

  /** @param {any[]} rows of the table `bars` @param {number} step */
  fill(rows, step) {
    this.step = step;
    this.bars = rows.slice(-MOST_BARS).map((row) => ({
      start: row.start_ns / 1e6,
      open: Number(row.open),
      high: Number(row.high),
      low: Number(row.low),
      close: Number(row.close),
      volume: Number(row.volume),
      count: row.count,
    }));
  }

  /** @param {Entry} entry */
  apply(entry) {
    this.updates += 1;
    if (entry.kind === "trade") this.trade(entry);
    else if (entry.kind.startsWith("book_")) {
      this.heat.until(this.book, Math.floor(entry.recv_ns / 1e6 / STEP_MS) * STEP_MS);
      if (this.cuts && entry.kind === "book_snapshot") {
        const levels = Math.max(entry.bids.length, entry.asks.length);
        this.book.depth = DEPTHS.find((depth) => depth >= levels) ?? Infinity;
      }
      this.book.apply(entry);
    }
  }

  /** @param {Entry} entry */
  trade(entry) {
    const t = (entry.ts_ns ?? entry.recv_ns) / 1e6;
    const price = Number(entry.price);
    const size = Number(entry.size);
    this.heat.add(entry);
    this.tape.unshift(entry);
    this.tape.length = Math.min(this.tape.length, TAPE);
    this.dots.push({ t, price, buy: entry.side === "buy" });
    if (this.dots.length > MOST_DOTS) this.dots.splice(0, MOST_DOTS / 2);
    const start = Math.floor(t / this.step) * this.step;
    const last = this.bars.at(-1);
    if (last && start < last.start) return; // told late: the next answer has it
    if (last && start === last.start) {
      last.high = Math.max(last.high, price);
      last.low = Math.min(last.low, price);
      last.close = price;
      last.volume += size;
      last.count += 1;
    } else {
      this.bars.push({ start, open: price, high: price, low: price, close: price, volume: size, count: 1 });
      if (this.bars.length > MOST_BARS) this.bars.splice(0, MOST_BARS / 10);
    }
  }
}
