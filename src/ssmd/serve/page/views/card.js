// One feed as a card: what comes in, how well it is checked, how its last days were.
import { h } from "/page/dom.js";
import { health, rates, silent } from "/page/feedstate.js";
import { ago, count, day, milliseconds, percent, rate, rest, words } from "/page/format.js";
import { quality } from "/page/quality.js";
import { spark } from "/page/spark.js";

const DAY_MS = 86_400_000;

/** @param {string} name @param {string} value @param {string} [kind] @param {string} [title] */
function fact(name, value, kind = "", title = "") {
  return h("div", { title: title || null }, h("dt", {}, name), h(`dd${kind && `.${kind}`}`, {}, value));
}

/** How much of the data was checked, as a bar. @param {import("/page/feedstate.js").Live | null} live */
function checked(live) {
  const total = live ? live.verified + live.unverified + live.broken : 0;
  if (!live || !total) return null;
  const text = [
    `${percent(live.verified / total)} verified`,
    live.unverified && `${rest(live.unverified / total)} unchecked`,
    live.broken && `${count(live.broken)} broken`,
  ].filter(Boolean);
  const part = (/** @type {string} */ kind, /** @type {number} */ n) => {
    const made = h(`span.${kind}`);
    made.style.flexGrow = String(n);
    return n ? made : null;
  };
  return h(
    "div.checked",
    { title: `${count(live.verified)} of ${count(total)} messages since the connector started` },
    h(
      "div.bar",
      { "aria-hidden": "true" },
      part("proven", live.verified),
      part("unchecked", live.unverified),
      part("broken", live.broken),
    ),
    h(
      "p",
      {},
      text.map((one, i) => [i ? " · " : "", h(i === 0 ? "b" : i === 2 ? "b.bad" : "span", {}, one)]),
    ),
  );
}

/** The last days, a cell each. @param {string} feed @param {any[]} rows @param {number} days */
function strip(feed, rows, days) {
  const by = new Map(rows.map((row) => [row.date, row]));
  const today = Date.now();
  const cells = Array.from({ length: days }, (_, i) => {
    const date = new Date(today - (days - 1 - i) * DAY_MS).toISOString().slice(0, 10);
    const row = by.get(date);
    const { level, text } = quality(row);
    const label = `${day(date)}: ${text}`;
    return row
      ? h(`a.cell.q${level}`, {
          href: `#/day/${feed}/${date}`,
          title: label,
          "aria-label": label,
          tabindex: i === days - 1 ? 0 : -1,
        })
      : h(`span.cell.q${level}`, { title: label });
  });
  return h("div.strip", { role: "group", "aria-label": `The last ${days} days of ${feed}` }, cells);
}

/**
 * @param {import("/page/feedstate.js").Feed} feed @param {any[]} rows its days @param {any[]} gaps
 * @param {number} days
 */
export function card(feed, rows, gaps, days) {
  const { word, kind, detail } = health(feed);
  const curve = rates(feed);
  const mine = gaps.filter((gap) => gap.feed === feed.name);
  const open = mine.filter((gap) => gap.to_ns === null).length;
  const last = rows.find((row) => row.date === feed.last);
  const lag = feed.live?.age_ms_p50;
  return h(
    "article.feed.panel",
    { "aria-label": feed.name },
    h(
      "header",
      {},
      h("h2", {}, h("a", { href: `#/instruments?feed=${encodeURIComponent(feed.name)}` }, feed.name)),
      feed.exchange &&
        words(feed.exchange) !== words(feed.name.replaceAll("-", "_")) &&
        h("span.soft", {}, words(feed.exchange)),
      h(`span.pill.${kind}`, {}, word),
    ),
    h(
      "div.flow",
      {},
      spark(
        curve,
        `Messages a second in the last five minutes: at most ${rate(Math.max(...curve))}, now ${rate(curve.at(-1) ?? 0)}`,
      ),
      h("p", {}, h("b", {}, rate(curve.at(-1) ?? 0)), h("span.soft", {}, " /s")),
    ),
    checked(feed.live),
    h(
      "dl.facts",
      {},
      fact(
        "Last message",
        feed.age_s === null ? "–" : ago(feed.age_s),
        silent(feed) ? "warn" : "",
        feed.last_message ?? "",
      ),
      fact(
        "Lag",
        lag === null || lag === undefined ? "–" : milliseconds(lag),
        "",
        "Median of receive time less the exchange's own time",
      ),
      fact(
        "Gaps today",
        mine.length ? `${count(mine.length)}${open ? `, ${open} open` : ""}` : "none",
        open ? "bad" : mine.length ? "warn" : "",
      ),
      fact(
        "Clean",
        percent(last?.clean_share),
        last && last.clean_share < 0.999 ? "warn" : "",
        "Share of the connected time in which no gap was open",
      ),
      fact(feed.last ? `Messages, ${day(feed.last)}` : "Messages", count(feed.records)),
      fact("Archived days", count(feed.days), "", feed.first ? `${feed.first} to ${feed.last}` : ""),
    ),
    rows.length > 0 && strip(feed.name, rows, days),
    detail && h(`p.detail.${kind}`, {}, detail),
  );
}
