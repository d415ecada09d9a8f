// Who listens at the live gateway.
import { ask } from "/page/api.js";
import { empty, h, loading, th } from "/page/dom.js";
import { count, duration, size } from "/page/format.js";
import { has } from "/page/paths.js";
import { every } from "/page/poll.js";

const POLL_MS = 2000;

export const title = () => "Clients";

/** @param {import("/page/main.js").Place} place */
export async function mount({ root, signal }) {
  const place = h("div", {}, loading("Asking for the clients …"));
  root.append(
    h("h1", {}, "Clients"),
    h("p.lead", {}, "Who is connected to the live gateway, and whether they keep up."),
    place,
  );
  if (!(await has("/v1/clients"))) {
    place.replaceChildren(
      empty("Not available: this server has no live gateway.", "It tells of its clients where it has one."),
    );
    return;
  }
  every(
    async () => {
      const found = await ask("/v1/clients", {}, signal);
      const clients = /** @type {any[]} */ (Array.isArray(found) ? found : found.clients);
      place.replaceChildren(
        clients.length
          ? table(clients)
          : empty("Nobody is connected.", "Connect to /v1/stream (WebSocket) or /v1/events."),
      );
    },
    POLL_MS,
    signal,
  );
}

/** @param {unknown} value @param {string} name */
function cell(value, name) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") {
    if (name.endsWith("_s")) return duration(value);
    if (name.endsWith("_bytes")) return size(value);
    return count(value, 1);
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Whatever the gateway tells of each, a column a fact. @param {any[]} clients */
function table(clients) {
  const names = [...new Set(clients.flatMap((client) => Object.keys(client)))];
  const number = (/** @type {string} */ name) => typeof clients[0][name] === "number";
  return h(
    "div.panel.scroll",
    {},
    h(
      "table.stack",
      {},
      h("caption.hidden", {}, "Clients of the live gateway"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          names.map((name) => th(name.replaceAll("_", " "), number(name) ? "n" : "")),
        ),
      ),
      h(
        "tbody",
        {},
        clients.map((client) =>
          h(
            "tr",
            {},
            names.map((name) =>
              h(
                `td${number(name) ? ".n" : ""}`,
                { "data-name": name.replaceAll("_", " ") },
                cell(client[name], name),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}
