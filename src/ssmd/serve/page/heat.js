// The book over time: a column a step, a cell for each price, the more there stands the stronger.
import { tick } from "/page/book.js";
import { colour } from "/page/colours.js";
import { clock, stepDigits } from "/page/format.js";

export const STEP_MS = 1000;
export const COLUMNS = 240;
const LEVELS = 24;
const MOST_TRADES = 2000;
const AXIS = { right: 64, bottom: 20 };

/** @typedef {{t: number, levels: [number, number, boolean][], bid: number | undefined, ask: number | undefined}} Column */

/** What is drawn: the last columns and trades, and never more. */
export class Heat {
  /** @type {Column[]} */ columns = [];
  /** @type {{t: number, price: number, size: number, buy: boolean}[]} */ trades = [];
  /** @type {number} */ tick = Infinity;

  /** Columns up to a time, for the book as it is. @param {import("/page/book.js").Book} book @param {number} ms */
  until(book, ms) {
    const from = this.columns.at(-1)?.t ?? ms - STEP_MS;
    if (ms - from < STEP_MS || !book.synced) return;
    const bids = book.top("bids", LEVELS);
    const asks = book.top("asks", LEVELS);
    this.tick = Math.min(this.tick, tick(bids), tick(asks));
    const levels = /** @type {Column["levels"]} */ ([
      ...bids.map((level) => [level.at, level.size, true]),
      ...asks.map((level) => [level.at, level.size, false]),
    ]);
    const first = Math.max(from + STEP_MS, ms - COLUMNS * STEP_MS);
    for (let t = first; t <= ms; t += STEP_MS)
      this.columns.push({ t, levels, bid: bids[0]?.at, ask: asks[0]?.at });
    if (this.columns.length > COLUMNS) this.columns.splice(0, this.columns.length - COLUMNS);
  }

  /** @param {import("/page/book.js").Entry} trade */
  add(trade) {
    this.trades.push({
      t: trade.recv_ns / 1e6,
      price: Number(trade.price),
      size: Number(trade.size),
      buy: trade.side === "buy",
    });
    if (this.trades.length > MOST_TRADES) this.trades.splice(0, MOST_TRADES / 2);
  }
}

/** The prices that are worth showing. @param {Column[]} columns @param {number} step */
function span(columns, step) {
  let [low, high] = [Infinity, -Infinity];
  for (const { bid, ask } of columns) {
    low = Math.min(low, bid ?? Infinity);
    high = Math.max(high, ask ?? -Infinity);
  }
  const room = Math.max(12 * step, (high - low) * 0.35);
  return low === Infinity ? [0, 1] : [low - room, Math.max(high, low) + room];
}

/** @param {HTMLCanvasElement} canvas @param {Heat} heat @param {number} now ms @param {{from: number, to: number}[]} gaps */
export function draw(canvas, heat, now, gaps) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const to = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  to.setTransform(scale, 0, 0, scale, 0, 0);
  to.clearRect(0, 0, width, height);
  const plot = { w: width - AXIS.right, h: height - AXIS.bottom };
  const start = now - COLUMNS * STEP_MS;
  const step = Number.isFinite(heat.tick) ? heat.tick : 1;
  const [low, high] = span(heat.columns, step);
  const x = (/** @type {number} */ t) => ((t - start) / (COLUMNS * STEP_MS)) * plot.w;
  const y = (/** @type {number} */ price) => plot.h - ((price - low) / (high - low)) * plot.h;
  to.save();
  to.beginPath();
  to.rect(0, 0, plot.w, plot.h);
  to.clip();
  cells(to, heat, x, y, plot.h / ((high - low) / step));
  to.fillStyle = colour("bad", 0.18);
  for (const gap of gaps) to.fillRect(x(gap.from), 0, Math.max(x(gap.to) - x(gap.from), 1), plot.h);
  best(to, heat, x, y);
  dots(to, heat, x, y);
  to.restore();
  axes(to, plot, { low, high, start, now }, x, y, step);
}

/** @param {CanvasRenderingContext2D} to @param {Heat} heat @param {(t: number) => number} x @param {(p: number) => number} y @param {number} row */
function cells(to, heat, x, y, row) {
  let most = 0;
  for (const { levels } of heat.columns) for (const [, size] of levels) most = Math.max(most, size);
  const tall = Math.max(row * 0.96, 1);
  const shades = [true, false].map((bid) =>
    Array.from({ length: 17 }, (_, i) => colour(bid ? "up" : "down", 0.04 + 0.82 * (i / 16) ** 1.3)),
  );
  for (const column of heat.columns) {
    const left = x(column.t - STEP_MS);
    const wide = x(column.t) - left + 0.6;
    for (const [price, size, bid] of column.levels) {
      to.fillStyle = shades[bid ? 0 : 1][Math.round(16 * Math.sqrt(size / most))];
      to.fillRect(left, y(price) - tall / 2, wide, tall);
    }
  }
}

/** The best prices as lines. @param {CanvasRenderingContext2D} to @param {Heat} heat @param {(t: number) => number} x @param {(p: number) => number} y */
function best(to, heat, x, y) {
  for (const [side, name] of /** @type {["bid" | "ask", string][]} */ ([
    ["bid", "up"],
    ["ask", "down"],
  ])) {
    to.beginPath();
    let broken = true;
    for (const column of heat.columns) {
      const price = column[side];
      if (price === undefined) broken = true;
      else {
        if (broken) to.moveTo(x(column.t - STEP_MS), y(price));
        to.lineTo(x(column.t - STEP_MS), y(price));
        to.lineTo(x(column.t), y(price));
        broken = false;
      }
    }
    to.strokeStyle = colour(name);
    to.lineWidth = 1.5;
    to.stroke();
  }
}

/** Trades as dots, the larger the more. @param {CanvasRenderingContext2D} to @param {Heat} heat @param {(t: number) => number} x @param {(p: number) => number} y */
function dots(to, heat, x, y) {
  const most = heat.trades.reduce((all, trade) => Math.max(all, trade.size), 1e-12);
  to.lineWidth = 1;
  for (const trade of heat.trades) {
    to.beginPath();
    to.arc(x(trade.t), y(trade.price), 1.3 + 3.5 * Math.sqrt(trade.size / most), 0, 7);
    to.fillStyle = colour(trade.buy ? "up" : "down", 0.9);
    to.fill();
    to.strokeStyle = colour("panel", 0.8);
    to.stroke();
  }
}

/**
 * @param {CanvasRenderingContext2D} to @param {{w: number, h: number}} plot
 * @param {{low: number, high: number, start: number, now: number}} range
 * @param {(t: number) => number} x @param {(p: number) => number} y @param {number} step
 */
function axes(to, plot, range, x, y, step) {
  to.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  to.fillStyle = colour("soft");
  to.textBaseline = "middle";
  const wanted = (range.high - range.low) / Math.max(plot.h / 36, 1);
  const gap =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1e4, 1e5].map((n) => n * step).find((n) => n >= wanted) ??
    wanted;
  const digits = stepDigits(gap);
  for (let price = Math.ceil(range.low / gap) * gap; price < range.high; price += gap) {
    if (y(price) > 8 && y(price) < plot.h - 4)
      to.fillText(
        price.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
        plot.w + 8,
        y(price),
      );
  }
  to.textBaseline = "alphabetic";
  const every = plot.w > 600 ? 30_000 : 60_000;
  to.textAlign = "center";
  for (let t = Math.ceil(range.start / every) * every; t <= range.now; t += every) {
    if (x(t) > 24 && x(t) < plot.w - 20) to.fillText(clock(t * 1e6), x(t), plot.h + 15);
  }
  to.textAlign = "left";
}
