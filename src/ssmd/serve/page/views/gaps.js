// What is known to be missing, and why.
import { ns, rows } from "/page/api.js";
import { causes, ending } from "/page/causes.js";
import { empty, h, loading } from "/page/dom.js";
import { table } from "/page/views/gaptable.js";
import { count } from "/page/format.js";
import { every, once } from "/page/poll.js";

const DAY_MS = 86_400_000;
const MOST = 10_000;
const SHOWN = 200;
const POLL_MS = 15_000;

export const title = () => "Gaps";

/** @param {string} label @param {[string, string][]} options @param {string} chosen */
function select(label, options, chosen) {
  const made = h(
    "select",
    {},
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );
  return { field: h("label.field", {}, h("span", {}, label), made), input: made };
}

/** @param {import("/page/main.js").Place} place */
export function mount({ root, query, signal }) {
  const feed = select("Feed", [["", "all"]], "");
  const days = select(
    "Time",
    [
      ["1", "today"],
      ["7", "7 days"],
      ["30", "30 days"],
      ["365", "a year"],
    ],
    query.get("days") ?? "30",
  );
  const cause = select(
    "Cause",
    [["", "any"], ...causes.map((one) => /** @type {[string, string]} */ ([one, one.replaceAll("_", " ")]))],
    query.get("cause") ?? "",
  );
  const end = select(
    "Outcome",
    [
      ["", "any"],
      ["open", "open"],
      ["lost", "lost"],
      ["repaired", "repaired"],
    ],
    query.get("outcome") ?? "",
  );
  const symbol = h("input", {
    type: "search",
    spellcheck: "false",
    autocomplete: "off",
    placeholder: "part of it",
  });
  const note = h("p.soft", { role: "status" });
  const place = h("div", {}, loading("Asking for the gaps …"));
  const form = h(
    "form.filters",
    {},
    feed.field,
    days.field,
    cause.field,
    end.field,
    h("label.field", {}, h("span", {}, "Symbol"), symbol),
  );
  root.append(
    h("h1", {}, "Gaps"),
    h(
      "p.lead",
      {},
      "Stretches that are known to be missing. Nothing is passed over: a gap is data, with its cause and how it ended.",
    ),
    form,
    note,
    place,
  );
  /** @type {any[] | null} */
  let all = null;

  function draw() {
    if (!all) return;
    const part = symbol.value.trim().toLowerCase();
    const found = all.filter(
      (gap) =>
        (!feed.input.value || gap.feed === feed.input.value) &&
        (!cause.input.value || gap.cause === cause.input.value) &&
        (!end.input.value || ending(gap)[0] === end.input.value) &&
        (!part || (gap.sym ?? "").toLowerCase().includes(part)),
    );
    const more = found.length > SHOWN ? `, the newest ${SHOWN} shown` : "";
    note.textContent = all.length
      ? `${count(found.length)} of ${count(all.length)}${all.length === MOST ? " (there are more)" : ""} gaps${more}`
      : "";
    if (found.length) place.replaceChildren(table(found.slice(0, SHOWN)));
    else
      place.replaceChildren(
        all.length
          ? empty("No gap fits these filters.")
          : empty("No gap is noted in this time.", "Every check that the exchanges offer held."),
      );
  }

  /** @param {any[]} found */
  function feeds(found) {
    const known = new Set([...feed.input.options].map((option) => option.value));
    for (const name of new Set(found.map((gap) => gap.feed))) {
      if (!known.has(name))
        feed.input.append(h("option", { value: name, selected: name === query.get("feed") }, name));
    }
  }

  async function load() {
    const now = Date.now();
    const from = now - (now % DAY_MS) - (Number(days.input.value) - 1) * DAY_MS;
    const found = await rows("gaps", { from: ns(from), limit: MOST }, signal);
    all = found.sort((a, b) => (b.from_ns ?? 0) - (a.from_ns ?? 0));
    feeds(all);
    if (!place.contains(document.activeElement)) draw();
  }

  form.addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  for (const input of [feed.input, cause.input, end.input]) input.addEventListener("change", draw);
  symbol.addEventListener("input", draw);
  days.input.addEventListener("change", () => void once(load, signal).then(draw));
  every(load, POLL_MS, signal);
}
