// One feed on one day: how whole it is, what is missing, and its first messages.
import { ask, ns, rows } from "/page/api.js";
import { empty, h, loading } from "/page/dom.js";
import { clock, compact, count, day, duration, percent, plural, size } from "/page/format.js";
import { inspector } from "/page/inspector.js";
import { once } from "/page/poll.js";
import { quality } from "/page/quality.js";
import { table } from "/page/views/gaptable.js";

const DAY_MS = 86_400_000;

export const title = (/** @type {string[]} */ [feed, date]) => `${feed}, ${date}`;

/** @param {string} name @param {string} value @param {string} [note] @param {string} [kind] */
const tile = (name, value, note = "", kind = "") =>
  h(
    "div.tile.panel",
    {},
    h("p.name", {}, name),
    h(`p.value${kind && `.${kind}`}`, {}, value),
    h("p.note", {}, note),
  );

/** @param {import("/page/quality.js").DayRow} row @param {any} dataset */
function tiles(row, dataset) {
  const span =
    row.first_recv_ns && row.last_recv_ns ? `${clock(row.first_recv_ns)} to ${clock(row.last_recv_ns)}` : "";
  return h(
    "div.tiles",
    {},
    tile("Messages", compact(row.messages), `${compact(row.market_data)} of market data`),
    tile("Coverage", percent(row.coverage), `${duration(row.captured_s)} captured`),
    tile("Clean", percent(row.clean_share), "no gap open", (row.clean_share ?? 1) < 0.999 ? "warn" : ""),
    tile("Verified", percent(row.verified_share), "the rest: no check exists"),
    tile("Gaps", count(row.gaps), plural(row.connections, "connection"), row.gaps ? "warn" : ""),
    tile(
      "Stored",
      dataset ? size(dataset.size_mb * 1048576) : "–",
      [dataset && plural(dataset.tickers, "symbol"), row.compacted && "compacted"]
        .filter(Boolean)
        .join(", ") || span,
    ),
  );
}

/** The day as a line: where it was captured, and where gaps were. @param {import("/page/quality.js").DayRow} row @param {any[]} gaps @param {number} start ms */
function timeline(row, gaps, start) {
  const at = (/** @type {number} */ time) => Math.min(Math.max((time / 1e6 - start) / DAY_MS, 0), 1) * 100;
  const band = (
    /** @type {string} */ kind,
    /** @type {number} */ from,
    /** @type {number} */ to,
    /** @type {string} */ label,
  ) => {
    const made = h(`i.${kind}`, { title: label });
    made.style.left = `${at(from)}%`;
    made.style.width = `${Math.max(at(to) - at(from), 0.15)}%`;
    return made;
  };
  const captured =
    row.first_recv_ns &&
    row.last_recv_ns &&
    band(
      "captured",
      row.first_recv_ns,
      row.last_recv_ns,
      `${clock(row.first_recv_ns)} to ${clock(row.last_recv_ns)}`,
    );
  const holes = gaps
    .slice(0, 500)
    .map(
      (gap) =>
        gap.from_ns &&
        band("hole", gap.from_ns, gap.to_ns ?? Date.now() * 1e6, `${clock(gap.from_ns)}: ${gap.cause}`),
    );
  return h(
    "div.timeline",
    { role: "img", "aria-label": `From first to last message, and ${gaps.length} gaps` },
    h("div.track", {}, captured, holes),
    h(
      "div.hours",
      { "aria-hidden": "true" },
      [0, 3, 6, 9, 12, 15, 18, 21, 24].map((hour) => h("span", {}, String(hour).padStart(2, "0"))),
    ),
  );
}

/** @param {import("/page/main.js").Place} place */
export async function mount({ root, params: [feed, date], signal }) {
  const start = Date.parse(`${date}T00:00:00Z`);
  const head = h(
    "header.head",
    {},
    h("p.crumbs", {}, h("a", { href: "#/calendar" }, "Calendar"), " / ", feed),
    h("h1", {}, Number.isNaN(start) ? date : day(date, true)),
  );
  const place = h("div", {}, loading("Asking for the day …"));
  root.append(head, place);
  if (Number.isNaN(start)) return place.replaceChildren(empty("That is no day.", "Such as 2026-11-23."));
  const range = { feed, from: ns(start), to: ns(start + DAY_MS), limit: 10_000 };
  const [days, gaps, stored] = await Promise.all([
    rows("coverage", range, signal),
    rows("gaps", range, signal),
    ask("/datasets", { feed, from: date, to: date }, signal),
  ]);
  const row = days.find((one) => one.date === date);
  if (!row) return place.replaceChildren(empty(`Nothing of ${feed} is archived on that day.`));
  const view = inspector(signal);
  const type = h("input", { id: "day-type", placeholder: "any", spellcheck: "false", autocomplete: "off" });
  const symbol = h("input", {
    id: "day-symbol",
    placeholder: "any",
    spellcheck: "false",
    autocomplete: "off",
  });
  const form = h(
    "form.filters",
    {},
    h("label.field", {}, h("span", {}, "Type"), type),
    h("label.field", {}, h("span", {}, "Symbol"), symbol),
    h("button", {}, "Show"),
  );
  const load = () =>
    once(
      async () => void (await view.load({ feed, date, sym: symbol.value.trim(), type: type.value.trim() })),
      signal,
      form,
    );
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    void load();
  });
  const { level, text } = quality(row);
  head.append(
    h(
      `span.pill.l${level}`,
      { title: text },
      ["", "incomplete", "incomplete", "incomplete", "nearly whole", "whole"][level] ?? "",
    ),
  );
  place.replaceChildren(
    tiles(row, stored[0]),
    h("section.panel.pad", {}, h("h2", {}, "The day, UTC"), timeline(row, gaps, start)),
    h("h2", {}, "Gaps"),
    gaps.length ? table(gaps.slice(0, 200)) : empty("No gap is noted on this day."),
    h("h2", {}, "Messages"),
    form,
    view.root,
  );
  await load();
}
