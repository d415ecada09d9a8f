// The depth of a book, best prices in the middle. Its rows are made once, and only their text changes.
import { h, say } from "/page/dom.js";
import { aligned, column, digits, percent } from "/page/format.js";

/** @param {number} rows of each side */
export function ladder(rows) {
  const make = (/** @type {string} */ kind) => {
    const cells = {
      price: h("span.price"),
      size: h("span.size"),
      total: h("span.total"),
      bar: h("i", { "aria-hidden": "true" }),
    };
    return { ...cells, row: h(`li.${kind}`, {}, cells.bar, cells.price, cells.size, cells.total) };
  };
  const asks = Array.from({ length: rows }, () => make("ask"));
  const bids = Array.from({ length: rows }, () => make("bid"));
  const spread = h("li.spread", {}, h("b"), h("span.soft"));
  const root = h(
    "ol.ladder",
    { "aria-label": "Order book: price, size, size up to there" },
    [...asks].reverse().map((one) => one.row),
    spread,
    bids.map((one) => one.row),
  );

  let places = 0; // of prices: it only grows, so that they do not dance

  /**
   * @param {ReturnType<make>[]} cells @param {import("/page/book.js").Level[]} levels
   * @param {number} most @param {(size: number) => string} text
   */
  function side(cells, levels, most, text) {
    let total = 0;
    cells.forEach(({ row, bar, price, size, total: sum }, i) => {
      const level = levels[i];
      row.classList.toggle("none", !level);
      if (!level) return;
      total += level.size;
      say(price, aligned(level.price, places));
      say(size, text(level.size));
      say(sum, text(total));
      bar.style.width = `${((100 * total) / most).toFixed(1)}%`;
    });
  }

  /** @param {import("/page/book.js").Book} book */
  function draw(book) {
    const up = book.top("asks", rows);
    const down = book.top("bids", rows);
    const sum = (/** @type {import("/page/book.js").Level[]} */ levels) =>
      levels.reduce((all, one) => all + one.size, 0);
    const most = Math.max(sum(up), sum(down), 1e-12);
    places = Math.max(places, digits([...up, ...down].map((level) => level.price)));
    const text = column([...up, ...down].map((level) => level.size));
    side(asks, up, most, text);
    side(bids, down, most, text);
    const [ask, bid] = [up[0], down[0]];
    say(spread.firstChild, ask && bid ? (ask.at - bid.at).toFixed(places) : "–");
    say(
      spread.lastChild,
      ask && bid ? `spread, ${percent((2 * (ask.at - bid.at)) / (ask.at + bid.at))}` : "one side is empty",
    );
  }

  return { root, draw };
}
