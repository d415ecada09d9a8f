// What uPlot does not draw itself: candles, volume bars, trades, and gaps behind them.
import { colour } from "/page/colours.js";
import { stepDigits } from "/page/format.js";

/** @typedef {import("/page/chart.js").Scene} Scene */

const VOLUME = 0.2;
const WIDEST = 14;

/** Prices with the same digits, as few as tell them apart. @param {number[]} found */
export function ticks(found) {
  const step = found.length > 1 ? Math.abs(found[1] - found[0]) : 1;
  const digits = stepDigits(step);
  return found.map((value) =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
  );
}

/** Bars that are seen, with where they stand. @param {any} u @param {Scene} scene */
function* placed(u, scene) {
  const ratio = devicePixelRatio || 1;
  const slot = Math.abs(
    u.valToPos((scene.from + scene.step) / 1000, "x", true) - u.valToPos(scene.from / 1000, "x", true),
  );
  const wide = Math.max(1, Math.min(slot * 0.7, WIDEST * ratio));
  for (const bar of scene.bars) {
    if (bar.start + scene.step < scene.from || bar.start > scene.to) continue;
    yield {
      bar,
      x: Math.round(u.valToPos((bar.start + scene.step / 2) / 1000, "x", true)),
      wide: Math.round(wide),
      ratio,
    };
  }
}

/** @param {any} u @param {(to: CanvasRenderingContext2D) => void} work */
function clipped(u, work) {
  const to = u.ctx;
  to.save();
  to.beginPath();
  to.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  to.clip();
  work(to);
  to.restore();
}

/** @param {any} u @param {Scene} scene */
export function candles(u, scene) {
  clipped(u, (to) => {
    for (const { bar, x, wide, ratio } of placed(u, scene)) {
      const [open, close, high, low] = [bar.open, bar.close, bar.high, bar.low].map((value) =>
        u.valToPos(value, "y", true),
      );
      to.fillStyle = colour(bar.close >= bar.open ? "up" : "down");
      const line = Math.max(1, Math.round(ratio));
      to.fillRect(x - line / 2, high, line, Math.max(low - high, 1));
      to.fillRect(x - wide / 2, Math.min(open, close), wide, Math.max(Math.abs(open - close), 1.5 * ratio));
    }
    for (const trade of scene.trades) {
      to.beginPath();
      to.arc(
        u.valToPos(trade.t / 1000, "x", true),
        u.valToPos(trade.price, "y", true),
        2 * (devicePixelRatio || 1),
        0,
        7,
      );
      to.fillStyle = colour(trade.buy ? "up" : "down", 0.55);
      to.fill();
    }
  });
}

/** @param {any} u @param {Scene} scene */
export function volumes(u, scene) {
  clipped(u, (to) => {
    const most = Math.max(...scene.bars.map((bar) => bar.volume), 1e-12);
    for (const { bar, x, wide } of placed(u, scene)) {
      const tall = (bar.volume / most) * VOLUME * u.bbox.height;
      to.fillStyle = colour(bar.close >= bar.open ? "up" : "down", 0.28);
      to.fillRect(x - wide / 2, u.bbox.top + u.bbox.height - tall, wide, tall);
    }
  });
}

/** @param {any} u @param {Scene} scene */
export function shade(u, scene) {
  clipped(u, (to) => {
    for (const gap of scene.gaps) {
      const left = u.valToPos(gap.from / 1000, "x", true);
      const wide = Math.max(u.valToPos(gap.to / 1000, "x", true) - left, 2);
      to.fillStyle = colour("bad", 0.14);
      to.fillRect(left, u.bbox.top, wide, u.bbox.height);
      to.fillStyle = colour("bad", 0.7);
      to.fillRect(left, u.bbox.top, wide, 2 * (devicePixelRatio || 1));
    }
  });
}
