// Gaps as a table; on a phone each row is a card.
import { ending, explain } from "/page/causes.js";
import { h, th } from "/page/dom.js";
import { clock, count, duration, moment, short, words } from "/page/format.js";

/** @param {any} gap */
function row(gap) {
  const [word, kind] = ending(gap);
  const long =
    gap.from_ns && gap.to_ns
      ? duration((gap.to_ns - gap.from_ns) / 1e9)
      : gap.to_ns === null && gap.from_ns
        ? "still open"
        : "–";
  const missing = gap.missing === null || gap.missing === undefined ? "" : `${count(gap.missing)} missing`;
  return h(
    "tr",
    {},
    h(
      "td",
      { "data-name": "Began" },
      gap.from_ns
        ? h("time", { title: new Date(gap.from_ns / 1e6).toISOString() }, moment(gap.from_ns))
        : "–",
    ),
    h(
      "td",
      { "data-name": "Feed" },
      h("a", { href: `#/day/${encodeURIComponent(gap.feed)}/${gap.date}` }, gap.feed),
    ),
    h(
      "td.sym",
      { "data-name": "Symbol", title: gap.sym },
      gap.sym
        ? h(
            "a",
            { href: `#/instrument/${encodeURIComponent(gap.feed)}/${encodeURIComponent(gap.sym)}` },
            short(gap.sym),
          )
        : h("span.soft", {}, "all of the connection"),
    ),
    h("td.n", { "data-name": "For", title: gap.to_ns ? `until ${clock(gap.to_ns, 3)} UTC` : null }, long),
    h(
      "td.why",
      { "data-name": "Cause" },
      h("b", {}, words(gap.cause)),
      " ",
      h("span.soft", {}, explain(gap.cause), missing && ` (${missing})`),
    ),
    h("td", { "data-name": "Outcome" }, h(`span.pill.${kind}`, {}, word)),
  );
}

/** @param {any[]} gaps */
export function table(gaps) {
  return h(
    "div.panel.scroll",
    {},
    h(
      "table.stack",
      {},
      h("caption.hidden", {}, "Gaps"),
      h(
        "thead",
        {},
        h("tr", {}, th("Began (UTC)"), th("Feed"), th("Symbol"), th("For", "n"), th("Cause"), th("Outcome")),
      ),
      h("tbody", {}, gaps.map(row)),
    ),
  );
}
