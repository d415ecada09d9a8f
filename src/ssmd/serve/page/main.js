// The frame around the views: which one is shown, how the server does, the key, the theme.
import { KeyNeeded, Refused } from "/page/api.js";
import { theme, turn } from "/page/colours.js";
import { h, say } from "/page/dom.js";
import { clock } from "/page/format.js";
import { once, report } from "/page/poll.js";

/**
 * A view fills `root`, and stops what it began when `signal` is aborted.
 * @typedef {{root: HTMLElement, params: string[], query: URLSearchParams, signal: AbortSignal}} Place
 * @typedef {{title: (params: string[]) => string, mount: (place: Place) => void | Promise<void>}} View
 */

/** First word of the address -> the view's module, and how many words follow. @type {Record<string, [string, number]>} */
const VIEWS = {
  "": ["overview", 0],
  instruments: ["instruments", 0],
  instrument: ["instrument", 2],
  calendar: ["calendar", 0],
  day: ["day", 2],
  gaps: ["gaps", 0],
  clients: ["clients", 0],
};
/** View -> the entry of the menu that it belongs to. @type {Record<string, string>} */
const MENU = { instrument: "instruments", day: "calendar" };

const $ = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const main = $("main");
/** @type {AbortController | undefined} */
let shown;
/** @type {number | null} */
let answered = null;

function parse() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name = "", ...params] = path.split("/").map((word) => {
    try {
      return decodeURIComponent(word);
    } catch {
      return word;
    }
  });
  const [view, wanted] = VIEWS[name] ?? VIEWS[""];
  const found = Object.hasOwn(VIEWS, name) && params.length === wanted;
  return { view: found ? view : "overview", params: found ? params : [], query: new URLSearchParams(query) };
}

async function show() {
  const { view, params, query } = parse();
  shown?.abort();
  troubles.clear();
  const controller = (shown = new AbortController());
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("data-view") === (MENU[view] ?? view);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  await once(async () => {
    /** @type {View} */
    const module = await import(`/page/views/${view}.js`);
    if (controller.signal.aborted) return;
    document.title = `${module.title(params)} · ssmd`;
    const root = h(`div.view.${view}`);
    main.replaceChildren(root);
    await module.mount({ root, params, query, signal: controller.signal });
  }, controller.signal);
}

// --- how the server does ------------------------------------------------------------------------

/** @param {string} text @param {string} kind */
function state(text, kind) {
  say($("state"), text);
  $("state").className = kind;
}

/** What goes wrong of what the view asks for: one that goes well says nothing of the others. @type {Map<unknown, string>} */
const troubles = new Map();

function trouble() {
  const text = [...troubles.values()].at(-1);
  document.body.classList.toggle("old", Boolean(text));
  $("trouble").hidden = !text;
  if (!text) return;
  const since = answered && `Shown is what it said at ${clock(answered * 1e6)} UTC.`;
  say($("trouble"), [text, since].filter(Boolean).join(" "));
}

/** @param {unknown} error @param {unknown} work */
async function failed(error, work) {
  if (error instanceof KeyNeeded) {
    shown?.abort();
    state("key needed", "warn");
    const { form } = await import("/page/key.js");
    if (!document.getElementById("key")) main.replaceChildren(form(show));
    return;
  }
  const away = error instanceof TypeError;
  state(away ? "no answer" : "error", "bad");
  if (!away && !(error instanceof Refused)) console.error(error);
  troubles.set(
    work,
    away ? "The server does not answer." : `The server refuses: ${/** @type {Error} */ (error).message}.`,
  );
  trouble();
}

/** @param {unknown} work */
function fine(work) {
  answered = Date.now();
  troubles.delete(work);
  if (!troubles.size) state("connected", "good");
  trouble();
}

function sayTheme() {
  const text = `Theme: ${{ auto: "system", light: "light", dark: "dark" }[theme()] ?? "system"}`;
  $("theme").title = text;
  say(/** @type {Node} */ ($("theme").querySelector("span")), text);
}

report(failed, fine);
$("theme").addEventListener("click", () => {
  turn();
  sayTheme();
});
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the address of a view
  main.focus();
});
addEventListener("hashchange", () => {
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
  void show();
});
setInterval(() => say($("now"), `${clock(Date.now() * 1e6)} UTC`), 1000);
sayTheme();
void show();
