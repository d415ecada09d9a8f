// The last trades. Its rows are made once, and only their text changes.
import { h, say } from "/page/dom.js";
import { aligned, clock, column, digits } from "/page/format.js";

const TAPE = 18;

/** The last trades; rows are made once. */
export function tape() {
  const cells = Array.from({ length: TAPE }, () => {
    const [time, price, size] = [h("time"), h("span.price"), h("span.size")];
    return { row: h("li.none", {}, time, price, size), time, price, size };
  });
  const root = h(
    "ol.tape",
    { "aria-label": "Last trades, newest first" },
    cells.map((cell) => cell.row),
  );
  /** @param {import("/page/book.js").Entry[]} trades newest first */
  function draw(trades) {
    const shown = trades.slice(0, TAPE);
    const places = digits(trades.map((trade) => trade.price ?? ""));
    const text = column(shown.map((trade) => Number(trade.size)));
    cells.forEach(({ row, time, price, size }, i) => {
      const trade = shown[i];
      row.className = trade ? (trade.side === "sell" ? "down" : "up") : "none";
      if (!trade) return;
      say(time, clock(trade.ts_ns ?? trade.recv_ns));
      say(price, aligned(trade.price ?? "", places));
      say(size, text(Number(trade.size)));
    });
  }
  return { root, draw };
}
