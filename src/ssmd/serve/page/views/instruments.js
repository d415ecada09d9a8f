// What moves: the instruments of a feed that traded lately, and a search.
import { ask, ns } from "/page/api.js";
import { empty, h, loading, segmented, th } from "/page/dom.js";
import { amount, change, count, decimal, duration, short } from "/page/format.js";
import { every, once } from "/page/poll.js";
import { spark } from "/page/spark.js";

const WINDOW_MS = 30 * 60_000;
const POLL_MS = 10_000;
const SHOWN = 60;

export const title = () => "Instruments";

/** @typedef {{sym: string, bars: any[], last: string, change: number, volume: number, count: number}} Line */

/** @param {any[]} bars @returns {Line[]} */
function lines(bars) {
  return [...Map.groupBy(bars, (bar) => bar.sym)]
    .map(([sym, mine]) => {
      const sum = (/** @type {string} */ name) => mine.reduce((all, bar) => all + Number(bar[name]), 0);
      const [first, last] = [mine[0], mine[mine.length - 1]];
      return {
        sym,
        bars: mine,
        last: last.close,
        change: Number(last.close) / Number(first.open) - 1,
        volume: sum("volume"),
        count: sum("count"),
      };
    })
    .sort((a, b) => b.count - a.count || a.sym.localeCompare(b.sym));
}

/** @param {string} feed @param {string} sym */
export const link = (feed, sym) => `#/instrument/${encodeURIComponent(feed)}/${encodeURIComponent(sym)}`;

/** @param {string} feed @param {Line} line */
function row(feed, line) {
  const closes = line.bars.map((bar) => Number(bar.close));
  const [text, kind] = change(line.change);
  return h(
    "tr",
    {},
    h("td.sym", {}, h("a", { href: link(feed, line.sym), title: line.sym }, short(line.sym))),
    h(`td.curve.${kind}`, {}, closes.length > 1 && spark(closes, `Closing prices, ${text}`, { zero: false })),
    h("td.n", {}, decimal(line.last)),
    h(`td.n.${kind}`, {}, text),
    h("td.n.wide", {}, amount(line.volume)),
    h("td.n.wide", {}, count(line.count)),
  );
}

/** @param {import("/page/main.js").Place} place */
export async function mount({ root, query, signal }) {
  const search = h("input", {
    type: "search",
    placeholder: "Symbol, or a part of it",
    "aria-label": "Search for a symbol",
    spellcheck: "false",
    autocomplete: "off",
  });
  const form = h("form.search", { role: "search" }, search, h("button", {}, "Open"));
  const note = h("p.soft", { role: "status" });
  const place = h("div", {}, loading("Asking for the instruments …"));
  const tabs = h("div");
  root.append(h("h1", {}, "Instruments"), h("div.bar-line", {}, tabs, form), note, place);
  /** @type {import("/page/feedstate.js").Feed[]} */
  const feeds = (await ask("/v1/feeds", {}, signal)).filter((/** @type {any} */ feed) => feed.days);
  if (!feeds.length) return place.replaceChildren(empty("Nothing is archived yet."));
  let feed = feeds.find((one) => one.name === query.get("feed")) ?? feeds[0];
  /** @type {Line[]} */
  let found = [];
  let more = false;
  tabs.append(
    segmented(
      "Feed",
      feeds.map((one) => [one, one.name]),
      feed,
      (chosen) => {
        feed = chosen;
        place.replaceChildren(loading("Asking for the instruments …"));
        history.replaceState(null, "", `#/instruments?feed=${encodeURIComponent(feed.name)}`);
        void once(load, signal);
      },
    ),
  );

  function draw() {
    const part = search.value.trim().toLowerCase();
    const fits = (/** @type {string} */ sym) => sym.toLowerCase().includes(part);
    const mine = found.filter((line) => fits(line.sym));
    const when =
      feed.age_s !== null && feed.age_s * 1000 > WINDOW_MS
        ? `until ${feed.last_message?.slice(0, 16).replace("T", " ")} UTC`
        : `the last ${duration(WINDOW_MS / 1000)}`;
    note.textContent = `${count(mine.length)} traded in ${when}${mine.length > SHOWN ? `, the ${SHOWN} busiest shown` : ""}${more ? "; there are more than can be listed" : ""}.`;
    const head = h(
      "tr",
      {},
      th("Symbol"),
      th(`${duration(WINDOW_MS / 1000)}`),
      th("Last", "n"),
      th("Change", "n"),
      th("Volume", "n.wide"),
      th("Trades", "n.wide"),
    );
    const body = mine.length
      ? h(
          "div.panel.scroll",
          {},
          h(
            "table.market",
            {},
            h("caption.hidden", {}, `Instruments of ${feed.name}`),
            h("thead", {}, head),
            h(
              "tbody",
              {},
              mine.slice(0, SHOWN).map((line) => row(feed.name, line)),
            ),
          ),
        )
      : empty(
          part ? "No symbol holds that." : "Nothing traded in this time.",
          part ? "Open it by its whole name." : "",
        );
    place.replaceChildren(body);
  }

  async function load() {
    const asked = feed;
    const newest = feed.last_message ? Date.parse(feed.last_message) : Date.now();
    const end = Math.max(newest, Date.now() - WINDOW_MS) === newest ? Date.now() : newest + 1000;
    const range = { feed: feed.name, from: ns(end - WINDOW_MS), to: ns(end) };
    const bars = (/** @type {string} */ interval) =>
      ask("/v1/bars", { ...range, interval, limit: 10_000 }, signal);
    let answer = await bars("1m");
    // Too many for curves: a bar each will do.
    if (answer.next) answer = await bars("30m");
    if (asked !== feed) return;
    found = lines(answer.rows);
    more = answer.next !== null;
    if (!place.contains(document.activeElement)) draw();
  }

  search.addEventListener("input", draw);
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = search.value.trim();
    const hit =
      found.find((line) => line.sym.toLowerCase() === text.toLowerCase()) ??
      found.find((line) => line.sym.toLowerCase().includes(text.toLowerCase()));
    if (text) location.hash = link(feed.name, hit?.sym ?? text);
  });
  every(load, POLL_MS, signal);
}
