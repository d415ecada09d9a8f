// Every feed at a glance.
import { ask, ns, rows } from "/page/api.js";
import { empty, h, loading } from "/page/dom.js";
import { health, rates } from "/page/feedstate.js";
import { compact, count, percent, rate } from "/page/format.js";
import { card } from "/page/views/card.js";
import { every } from "/page/poll.js";

const FEEDS_MS = 2000;
const DAYS_MS = 20_000;
const DAYS = 28;
const DAY_MS = 86_400_000;

export const title = () => "Overview";

/** @param {string} name @param {string} value @param {string} [note] @param {string} [kind] */
function tile(name, value, note = "", kind = "") {
  return h(
    "div.tile.panel",
    {},
    h("p.name", {}, name),
    h(`p.value${kind && `.${kind}`}`, {}, value),
    h("p.note", {}, note),
  );
}

/** @param {import("/page/feedstate.js").Feed[]} feeds @param {any[]} gaps */
function tiles(feeds, gaps) {
  const live = feeds.filter((feed) => health(feed).kind === "good").length;
  const sum = (/** @type {(feed: any) => number} */ of) => feeds.reduce((total, feed) => total + of(feed), 0);
  const proven = sum((feed) => feed.live?.verified ?? 0);
  const broken = sum((feed) => feed.live?.broken ?? 0);
  const told = proven + broken + sum((feed) => feed.live?.unverified ?? 0);
  const open = gaps.filter((gap) => gap.to_ns === null).length;
  return [
    tile(
      "Feeds live",
      `${live} of ${feeds.length}`,
      live < feeds.length ? "see below" : "all of them",
      live < feeds.length ? "warn" : "good",
    ),
    tile("Messages a second", rate(sum((feed) => rates(feed).at(-1) ?? 0)), "archived, all feeds"),
    tile("Messages", compact(sum((feed) => feed.records)), "each feed's newest day"),
    tile("Open gaps", count(open), `${count(gaps.length)} noted today`, open ? "bad" : ""),
    tile(
      "Verified",
      told ? percent(proven / told) : "–",
      told ? (broken ? `${count(broken)} broken` : "the rest: no check exists") : "no connector here",
      broken ? "warn" : "",
    ),
  ];
}

/** @param {import("/page/main.js").Place} place */
export function mount({ root, signal }) {
  const strip = h("div.tiles", { "aria-label": "All feeds together" });
  const cards = h("div.cards");
  const note = h(
    "p.soft.small",
    {},
    "Verified: the share of market data that a sequence number, checksum or hash proved to be whole and in order. " +
      "The exchange gives no way to check the rest: it is unchecked, not wrong. Clean: the share of the connected time in which no gap was open.",
  );
  root.append(h("h1", {}, "Overview"), strip, cards, note);
  cards.append(loading("Asking for the feeds …"));
  /** @type {Map<string, any[]>} */
  let days = new Map();
  /** @type {any[]} */
  let gaps = [];
  /** @type {import("/page/feedstate.js").Feed[]} */
  let feeds = [];

  function draw() {
    if (!feeds.length) return;
    strip.replaceChildren(...tiles(feeds, gaps));
    cards.replaceChildren(...feeds.map((feed) => card(feed, days.get(feed.name) ?? [], gaps, DAYS)));
  }

  every(
    async () => {
      feeds = await ask("/v1/feeds", {}, signal);
      if (!feeds.length)
        cards.replaceChildren(
          empty("No feed is configured, and nothing is archived.", "Start a connector: ssmd up"),
        );
      const live = feeds.filter((feed) => health(feed).kind === "good").length;
      document.title = `${live}/${feeds.length} live · ssmd`;
      // What has the focus stays where it is.
      if (!cards.contains(document.activeElement)) draw();
    },
    FEEDS_MS,
    signal,
  );

  every(
    async () => {
      const now = Date.now();
      const today = now - (now % DAY_MS);
      const [told, noted] = await Promise.all([
        rows("coverage", { from: ns(today - (DAYS - 1) * DAY_MS), limit: 10_000 }, signal),
        rows("gaps", { from: ns(today), limit: 10_000 }, signal),
      ]);
      days = Map.groupBy(told, (row) => row.feed);
      gaps = noted;
      draw();
    },
    DAYS_MS,
    signal,
  );
}
