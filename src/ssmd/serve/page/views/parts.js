// The pieces of the instrument's view.
import { empty, h, loading, say } from "/page/dom.js";
import { amount, change, count, decimal, short } from "/page/format.js";
import { inspector } from "/page/inspector.js";
import { once } from "/page/poll.js";

/** The layout, and what its parts do. @param {string} feed @param {string} sym @param {AbortSignal} signal */
export function frame(feed, sym, signal) {
  const fact = (/** @type {string} */ name) => {
    const value = h("dd", {}, "–");
    return { root: h("div", {}, h("dt", {}, name), value), value };
  };
  const [price, moved, best, volume, gaps] = ["Last", "Change", "Bid / ask", "Volume", "Gaps shown"].map(
    fact,
  );
  const pill = h("span.pill.idle", {}, "loading");
  const chart = h("div.chart", {
    role: "img",
    "aria-label": `Price of ${sym}; the numbers are in the table below`,
  });
  const heat = h("canvas.heat", {
    role: "img",
    "aria-label": "The book over the last four minutes: the more stands at a price, the stronger its colour",
  });
  const nothing = h("div.over", { hidden: true });
  const unknown = h("div.over", { hidden: true });
  const book = h("div", {}, loading("…"));
  const list = h("div", {}, loading("…"));
  const legend = h("p.legend.bar-legend");
  const windows = h("div");
  const table = h("div.scroll");
  const details = h("details.panel.pad", {}, h("summary", {}, "Bars as a table"), table);
  const updates = h("b", {}, "0");
  const view = inspector(signal);
  const root = h(
    "div.instrument",
    {},
    h(
      "header.head",
      {},
      h(
        "p.crumbs",
        {},
        h("a", { href: `#/instruments?feed=${encodeURIComponent(feed)}` }, "Instruments"),
        " / ",
        feed,
      ),
      h("h1", { title: sym }, short(sym, 34)),
      pill,
      h("dl.facts.line", {}, price.root, moved.root, best.root, volume.root, gaps.root),
    ),
    h(
      "div.board",
      {},
      h(
        "section.panel.price",
        { "aria-label": "Price" },
        h("div.bar-line", {}, windows, legend),
        h("div.canvas", {}, chart, nothing),
      ),
      h(
        "section.panel.depth",
        { "aria-label": "Order book" },
        h("h2", {}, "Order book"),
        h(
          "div.cols",
          { "aria-hidden": "true" },
          h("span", {}, "Price"),
          h("span", {}, "Size"),
          h("span", {}, "Sum"),
        ),
        book,
      ),
      h(
        "section.panel.over-time",
        { "aria-label": "Book over time" },
        h(
          "div.bar-line",
          {},
          h("h2", {}, "Book over time"),
          h(
            "p.legend",
            {},
            h("span", {}, h("i.swatch.up"), "bids"),
            h("span", {}, h("i.swatch.down"), "asks"),
            h("span", {}, h("i.swatch.dot"), "trades"),
            h("span", {}, h("i.swatch.gap"), "gap"),
          ),
        ),
        h("div.canvas", {}, heat, unknown),
      ),
      h("section.panel.last", { "aria-label": "Last trades" }, h("h2", {}, "Trades"), list),
    ),
    details,
    h(
      "div.bar-line",
      {},
      h("h2", {}, "Messages and records"),
      h("p.soft.small", {}, updates, " updates since this page was opened"),
    ),
    view.root,
  );
  return {
    root,
    chart,
    heat,
    book,
    tape: list,
    legend,
    windows,
    table,
    details,
    updates,
    facts: {
      price: price.value,
      change: moved.value,
      best: best.value,
      volume: volume.value,
      gaps: gaps.value,
    },
    /** @param {string} word @param {string} kind */
    state(word, kind) {
      pill.className = `pill ${kind}`;
      say(pill, word);
    },
    /** @param {boolean} synced @param {boolean} traded */
    known(synced, traded) {
      unknown.hidden = synced;
      nothing.hidden = traded;
      if (!synced && !unknown.childNodes.length)
        unknown.append(empty("The book is not known yet.", "It begins with the next snapshot."));
      if (!traded && !nothing.childNodes.length) nothing.append(empty("Nothing traded in this time."));
    },
    /** @param {{feed: string, date: string, sym: string}} wanted */
    inspect: (wanted) => void once(async () => void (await view.load(wanted)), signal),
  };
}

/** @param {ReturnType<typeof frame>} parts @param {import("/page/market.js").Market} market @param {import("/page/chart.js").Scene} scene */
export function head({ facts }, market, scene) {
  const seen = scene.bars.filter((bar) => bar.start + scene.step > scene.from);
  const [first, last] = [seen[0], seen.at(-1)];
  const bid = market.book.top("bids", 1)[0];
  const ask = market.book.top("asks", 1)[0];
  const text = market.tape[0]?.price ?? last?.close.toString();
  say(facts.price, text === undefined ? "–" : decimal(text));
  const share = first && last ? last.close / first.open - 1 : 0;
  const [moved, kind] = change(share);
  say(facts.change, first ? moved : "–");
  facts.change.className = kind;
  say(facts.best, bid || ask ? `${bid ? decimal(bid.price) : "–"} / ${ask ? decimal(ask.price) : "–"}` : "–");
  say(facts.volume, amount(seen.reduce((all, bar) => all + bar.volume, 0)));
  say(facts.gaps, scene.gaps.length ? count(scene.gaps.length) : "none");
  facts.gaps.className = scene.gaps.length ? "warn" : "";
}
