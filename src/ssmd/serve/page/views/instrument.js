// One instrument: price, book, book over time, trades, and the messages that they come from.
import { ask, ns, rows } from "/page/api.js";
import { bar, barTable } from "/page/bartext.js";
import { onTheme } from "/page/colours.js";
import { chart } from "/page/chart.js";
import { empty, say, segmented } from "/page/dom.js";
import { COLUMNS, STEP_MS, draw as drawHeat } from "/page/heat.js";
import { ladder } from "/page/ladder.js";
import { follow } from "/page/live.js";
import { Market } from "/page/market.js";
import { every, framed, once } from "/page/poll.js";
import { history } from "/page/seed.js";
import { tape } from "/page/tape.js";
import { frame, head } from "/page/views/parts.js";

const MINUTE_MS = 60_000;
const RELOAD_MS = 30_000;
const PAINT_MS = 250;
const LEVELS = 12;
/** Name -> time that is seen, a bar's time and its name for the API. @type {Record<string, [number, number, string]>} */
const WINDOWS = {
  "5 min": [5 * MINUTE_MS, 5000, "5s"],
  "30 min": [30 * MINUTE_MS, 20_000, "20s"],
  "2 h": [120 * MINUTE_MS, MINUTE_MS, "1m"],
  "12 h": [720 * MINUTE_MS, 10 * MINUTE_MS, "10m"],
  "3 days": [4320 * MINUTE_MS, 60 * MINUTE_MS, "1h"],
  "60 days": [86_400 * MINUTE_MS, 1440 * MINUTE_MS, "1d"],
};

export const title = (/** @type {string[]} */ [feed, sym]) => `${sym}, ${feed}`;

/** @param {import("/page/main.js").Place} place */
export async function mount({ root, params: [feed, sym], query, signal }) {
  let chosen = Object.hasOwn(WINDOWS, query.get("window") ?? "")
    ? /** @type {string} */ (query.get("window"))
    : "30 min";
  const parts = frame(feed, sym, signal);
  root.append(parts.root);
  /** @type {import("/page/feedstate.js").Feed | undefined} */
  const facts = (await ask("/v1/feeds", {}, signal)).find((/** @type {any} */ one) => one.name === feed);
  if (!facts) return root.replaceChildren(empty(`No feed is called ${feed}.`));
  const live = facts.age_s !== null && facts.age_s < 60;
  const end = () => (live || !facts.last_message ? Date.now() : Date.parse(facts.last_message) + STEP_MS);
  const market = new Market(facts.exchange, WINDOWS[chosen][1]);
  /** @type {import("/page/chart.js").Scene} */
  const scene = { bars: [], trades: [], gaps: [], step: 0, from: 0, to: 1 };
  const depth = ladder(LEVELS);
  const trades = tape();
  parts.book.replaceChildren(depth.root);
  parts.tape.replaceChildren(trades.root);
  parts.windows.append(
    segmented(
      "Time that is shown",
      Object.keys(WINDOWS).map((name) => [name, name]),
      chosen,
      (name) => {
        chosen = name;
        remember(feed, sym, name);
        void once(bars, signal);
      },
    ),
  );
  const pointed = { bar: /** @type {import("/page/chart.js").Bar | undefined} */ (undefined) };
  const plot = await chart(
    parts.chart,
    scene,
    (found) => {
      pointed.bar = found;
      bar(parts.legend, found ?? scene.bars.at(-1), Boolean(found));
    },
    signal,
  );

  /** The two canvases: they cost, and no eye follows sixty of them a second. */
  const paint = framed(() => {
    const [seen] = WINDOWS[chosen];
    scene.to = end();
    scene.from = scene.to - seen;
    scene.step = market.step;
    scene.bars = market.bars;
    scene.trades = seen <= 5 * MINUTE_MS ? market.dots : [];
    plot.draw();
    if (!pointed.bar) bar(parts.legend, scene.bars.at(-1), false);
    market.heat.until(market.book, Math.floor(end() / STEP_MS) * STEP_MS);
    drawHeat(parts.heat, market.heat, end(), scene.gaps);
    painted = performance.now();
  }, signal);
  let painted = 0;

  const draw = framed(() => {
    depth.draw(market.book);
    trades.draw(market.tape);
    head(parts, market, scene);
    say(parts.updates, String(market.updates));
    if (performance.now() - painted > PAINT_MS) paint();
  }, signal);

  /** Bars and gaps of the time that is shown. */
  async function bars() {
    const asked = chosen;
    const [seen, step, interval] = WINDOWS[asked];
    const to = end();
    const range = { feed, from: ns(Math.floor((to - seen) / step) * step), to: ns(to) };
    const [found, gaps] = await Promise.all([
      rows("bars", { ...range, symbol: sym, interval, limit: 2000 }, signal),
      rows("gaps", { ...range, limit: 1000 }, signal),
    ]);
    if (asked !== chosen) return;
    market.fill(found, step);
    scene.gaps = gaps
      .filter((gap) => (gap.sym === null || gap.sym === undefined || gap.sym === sym) && gap.from_ns)
      .map((gap) => ({ from: gap.from_ns / 1e6, to: gap.to_ns ? gap.to_ns / 1e6 : to }));
    barTable(parts.table, market.bars, () => parts.details.open);
    draw();
    paint();
  }

  new ResizeObserver(paint).observe(parts.heat);
  onTheme(paint, signal);
  const now = end();
  /** What comes before the past is known waits for it. @type {import("/page/book.js").Entry[] | null} */
  let waiting = [];

  /** @param {import("/page/book.js").Entry[]} entries */
  function take(entries) {
    for (const entry of entries) market.apply(entry);
    parts.known(market.book.synced, market.bars.length > 0);
    draw();
  }

  /** The last minutes before now, and then what came meanwhile. */
  async function past() {
    try {
      take(await history(feed, sym, now - COLUMNS * STEP_MS, now, signal));
    } finally {
      const meanwhile = waiting ?? [];
      waiting = null;
      take(meanwhile);
    }
  }

  await once(bars, signal);
  // The messages come after the book: both are questions that take their time.
  void once(past, signal).then(() =>
    parts.inspect({ feed, date: new Date(now).toISOString().slice(0, 10), sym }),
  );
  if (!live) return parts.state("archive", "idle");
  follow(
    { feed, sym, from: ns(now) },
    {
      entries: (entries) => (waiting ? waiting.push(...entries) : take(entries)),
      state: parts.state,
    },
    signal,
  );
  every(bars, RELOAD_MS, signal);
  const tick = setInterval(draw, STEP_MS);
  signal.addEventListener("abort", () => clearInterval(tick));
}

/** The address follows the choice, without a step in the history. @param {string} feed @param {string} sym @param {string} name */
function remember(feed, sym, name) {
  window.history.replaceState(
    null,
    "",
    `#/instrument/${encodeURIComponent(feed)}/${encodeURIComponent(sym)}?window=${encodeURIComponent(name)}`,
  );
}
