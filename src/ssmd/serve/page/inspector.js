// Messages as they came, and beside each the records that were derived from it.
import { fetched, rows } from "/page/api.js";
import { empty, h } from "/page/dom.js";
import { clock, short, words } from "/page/format.js";
import { field, pretty } from "/page/json.js";
import { once } from "/page/poll.js";

const MOST = 60;
const MOST_RECORDS = 12;
const TABLES = ["trades", "quotes", "book_snapshots", "book_deltas", "instrument_status"];
const SOURCE = new Set(["feed", "recv_ns", "ts_ns", "conn", "n", "part", "nats_seq", "nth", "unfit"]);

/** @typedef {{text: string, seq: number, type: string, sym: string, recv: string, conn: string, n: string, part: string}} Message */

/** @param {string} text one line @returns {Message} */
export function message(text) {
  // Our fields come before `raw`: what is in it cannot pass for them.
  const head = text.slice(0, text.search(/"(raw|text|b64)":/) >>> 0);
  const word = (/** @type {string} */ name) => {
    const found = field(head, name);
    try {
      return found === undefined
        ? ""
        : String(found.startsWith('"') ? JSON.parse(found) : found).replace(/,$/, "");
    } catch {
      return found ?? "";
    }
  };
  return {
    text,
    seq: Number(word("nats_seq")),
    type: word("type"),
    sym: word("sym"),
    recv: word("recv_ns"),
    conn: word("conn"),
    n: word("n"),
    part: word("part") || "0",
  };
}

/** The lines of a sample: one a message. @param {string} body */
export const lines = (body) => (body.length > 2 ? body.slice(1, -1).split(/,\n(?=\{"nats_seq")/) : []);

/** @param {{feed: string, date: string, sym?: string, type?: string}} wanted @param {AbortSignal} signal @returns {Promise<Message[]>} */
async function messages({ feed, date, sym, type }, signal) {
  const path = `/datasets/${encodeURIComponent(feed)}/${date}/sample`;
  return lines(await (await fetched(path, { ticker: sym, type, limit: MOST }, signal)).text()).map(message);
}

/** Records of one message. @param {string} feed @param {Message} of @param {AbortSignal} signal */
async function records(feed, of, signal) {
  const asked = { feed, symbol: of.sym, from: of.recv, to: String(BigInt(of.recv) + 1n), limit: 500 };
  const found = await Promise.all(
    TABLES.map(async (table) => (await rows(table, asked, signal)).map((row) => ({ table, ...row }))),
  );
  return found
    .flat()
    .filter((row) => row.conn === of.conn && String(row.n) === of.n && String(row.part) === of.part);
}

/** A record as a list of its fields. @param {any} record */
function shown(record) {
  const own = Object.entries(record).filter(
    ([name, value]) =>
      name !== "table" && !SOURCE.has(name) && value !== null && !(Array.isArray(value) && !value.length),
  );
  const text = (/** @type {unknown} */ value) =>
    Array.isArray(value)
      ? h(
          "span",
          {},
          value.slice(0, 12).map(([price, size]) => h("span.level", {}, `${price} × ${size}`)),
          value.length > 12 && h("span.soft", {}, `and ${value.length - 12} more`),
        )
      : String(value);
  return h(
    "section.record",
    {},
    h("h4", {}, words(record.table.replace(/s$/, ""))),
    h(
      "dl",
      {},
      own.map(([name, value]) => h("div", {}, h("dt", {}, words(name)), h("dd", {}, text(value)))),
    ),
  );
}

/** @param {AbortSignal} signal */
export function inspector(signal) {
  const list = h("ol.messages", { "aria-label": "Messages" });
  const raw = h("pre.panel", { tabindex: "0", "aria-label": "The message as it came" });
  const made = h("div.records");
  const root = h(
    "div.inspector",
    {},
    list,
    h("div.raw", {}, h("h3", {}, "Message, byte for byte"), raw),
    h("div.made", {}, h("h3", {}, "Records made of it"), made),
  );
  let feed = "";
  let turn = 0;

  /** @param {Message} of @param {HTMLElement} button */
  async function choose(of, button) {
    const mine = ++turn;
    for (const other of list.querySelectorAll("button"))
      other.setAttribute("aria-pressed", String(other === button));
    raw.replaceChildren(pretty(of.text));
    made.replaceChildren(h("p.soft", { role: "status" }, "…"));
    await once(
      async () => {
        // Our own notes and acknowledgements make no records.
        const found = of.type.startsWith("_") ? [] : await records(feed, of, signal);
        if (mine !== turn) return;
        made.replaceChildren(
          ...(found.length
            ? [
                ...found.slice(0, MOST_RECORDS).map(shown),
                ...(found.length > MOST_RECORDS
                  ? [h("p.soft", {}, `and ${found.length - MOST_RECORDS} more`)]
                  : []),
              ]
            : [
                h(
                  "p.soft",
                  {},
                  of.type.startsWith("_")
                    ? "A note of the connector: no record is made of it."
                    : "No record is made of it.",
                ),
              ]),
        );
      },
      signal,
      list,
    );
  }

  /** @param {Message} of */
  function entry(of) {
    const button = h(
      "button",
      { type: "button", "aria-pressed": "false" },
      h("time", {}, clock(Number(of.recv), 3)),
      h("b", {}, of.type),
      h("span.soft", { title: of.sym }, short(of.sym, 18)),
    );
    button.addEventListener("click", () => void choose(of, button));
    return h("li", {}, button);
  }

  /** @param {{feed: string, date: string, sym?: string, type?: string}} wanted */
  async function load(wanted) {
    feed = wanted.feed;
    const found = await messages(wanted, signal);
    turn += 1;
    list.replaceChildren(...found.map(entry));
    // Rather a message with records than a note of the connector.
    const first = Math.max(
      found.findIndex((one) => one.sym && !one.type.startsWith("_")),
      0,
    );
    if (found.length) await choose(found[first], list.querySelectorAll("button")[first]);
    else {
      list.replaceChildren(h("li", {}, empty("No such message.")));
      raw.replaceChildren();
      made.replaceChildren();
    }
    return found.length;
  }

  return { root, load };
}
