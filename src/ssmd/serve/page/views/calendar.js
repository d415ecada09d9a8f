// Every day of every feed: how much of it is there, and how good.
import { ns, rows } from "/page/api.js";
import { empty, h, loading, segmented } from "/page/dom.js";
import { count, day, plural } from "/page/format.js";
import { every } from "/page/poll.js";
import { LEVELS, MEASURES, quality } from "/page/quality.js";

const DAY_MS = 86_400_000;
const WEEKS = 27;
const POLL_MS = 60_000;

export const title = () => "Calendar";

/** @param {number} ms */
const iso = (ms) => new Date(ms).toISOString().slice(0, 10);

/** Weeks from Monday, the last one holding today. @param {number} weeks */
function grid(weeks) {
  const today = Date.now() - (Date.now() % DAY_MS);
  const monday = today - ((new Date(today).getUTCDay() + 6) % 7) * DAY_MS;
  return Array.from({ length: weeks }, (_, week) =>
    Array.from({ length: 7 }, (_, weekday) => monday + ((week - weeks + 1) * 7 + weekday) * DAY_MS).filter(
      (ms) => ms <= today,
    ),
  );
}

/** Arrow keys move between the days. @param {KeyboardEvent} event */
function arrows(event) {
  const step = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -7, ArrowRight: 7 }[event.key];
  const here = /** @type {HTMLElement} */ (event.target);
  if (!step || !here.matches("a.cell")) return;
  const cells = /** @type {HTMLElement[]} */ ([
    .../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll(".cell"),
  ]);
  const direction = Math.sign(step);
  let at = cells.indexOf(here) + step;
  while (cells[at] && !cells[at].matches("a")) at += direction;
  if (!cells[at]) return;
  event.preventDefault();
  here.tabIndex = -1;
  cells[at].tabIndex = 0;
  cells[at].focus();
}

/** @param {string} feed @param {import("/page/quality.js").DayRow[]} found @param {string} measure */
function calendar(feed, found, measure) {
  const by = new Map(found.map((row) => [row.date, row]));
  const weeks = grid(WEEKS);
  const newest = found.at(-1)?.date;
  const cell = (/** @type {number} */ ms) => {
    const date = iso(ms);
    const row = by.get(date);
    const { level, text } = quality(row, measure);
    const label = `${day(date, true)}: ${text}${row ? `, ${count(row.messages)} messages` : ""}`;
    if (!row) return h(`span.cell.q${level}`, { title: label });
    return h(`a.cell.q${level}`, {
      href: `#/day/${encodeURIComponent(feed)}/${date}`,
      title: label,
      "aria-label": label,
      tabindex: date === newest ? 0 : -1,
    });
  };
  const month = (/** @type {number[]} */ week) =>
    week.some((ms) => new Date(ms).getUTCDate() === 1) &&
    new Date(week.at(-1) ?? 0).toLocaleDateString("en-GB", { month: "short", timeZone: "UTC" });
  const body = h(
    "div.year",
    { role: "group", "aria-label": `Days of ${feed}`, keydown: /** @type {any} */ (arrows) },
    h(
      "div.weekdays",
      { "aria-hidden": "true" },
      ["Mon", "", "Wed", "", "Fri", "", ""].map((name) => h("span", {}, name)),
    ),
    weeks.map((week) =>
      h("div.week", {}, h("span.month", { "aria-hidden": "true" }, month(week) || ""), week.map(cell)),
    ),
  );
  const total = found.reduce((all, row) => all + row.messages, 0);
  return h(
    "section.panel.feedyear",
    {},
    h(
      "header",
      {},
      h("h2", {}, feed),
      h("span.soft", {}, `${plural(found.length, "day")}, ${plural(total, "message")}`),
    ),
    h("div.sideways", {}, body),
  );
}

/** @param {string} measure */
const legend = (measure) =>
  h(
    "p.legend",
    {},
    h("span.soft", {}, measure === "quality" ? "The worse of covered and clean:" : "Share of the day:"),
    LEVELS.map((text, level) => h("span", {}, h(`i.cell.q${level}`), text)),
  );

/** @param {import("/page/main.js").Place} place */
export function mount({ root, signal }) {
  let measure = "quality";
  /** @type {import("/page/quality.js").DayRow[] | null} */
  let found = null;
  const place = h("div.years", {}, loading("Asking for the days …"));
  const key = h("div");
  const choose = segmented("What the colours show", MEASURES, measure, (chosen) => {
    measure = chosen;
    draw();
  });
  root.append(
    h("h1", {}, "Calendar"),
    h(
      "p.lead",
      {},
      "What is archived of each day, and how whole it is. A day opens with its gaps and messages.",
    ),
    h("div.bar-line", {}, choose, key),
    place,
  );

  function draw() {
    if (!found) return;
    key.replaceChildren(legend(measure));
    const feeds = Map.groupBy(found, (row) => row.feed);
    if (feeds.size)
      place.replaceChildren(...[...feeds].sort().map(([feed, days]) => calendar(feed, days, measure)));
    else
      place.replaceChildren(
        empty(
          "Nothing is archived yet.",
          "Days appear here as soon as the archiver has written its first messages.",
        ),
      );
    for (const one of place.querySelectorAll(".sideways")) one.scrollLeft = one.scrollWidth;
  }

  every(
    async () => {
      const first = /** @type {number} */ (grid(WEEKS)[0][0]);
      found = await rows("coverage", { from: ns(first), limit: 10_000 }, signal);
      if (!place.contains(document.activeElement)) draw();
    },
    POLL_MS,
    signal,
  );
}
