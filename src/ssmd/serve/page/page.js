// What is shown is asked for every few seconds; text goes in as text, never as markup.
import { card, element, health } from "/feeds.js";

const FEEDS_MS = 2000;
const DATASETS_MS = 10000;
const MOST_ROWS = 200;
const $ = (id) => document.getElementById(id);
let key = sessionStorage.getItem("ssmd-key");
let chosen = null;
let answered = null;

class KeyNeeded extends Error {}

// A header's characters are bytes: a key beyond ASCII goes out as its UTF-8.
const headers = () => (key ? { "X-API-Key": String.fromCharCode(...new TextEncoder().encode(key)) } : {});

async function ask(path) {
  const answer = await fetch(path, { headers: headers() });
  if (answer.status === 401) throw new KeyNeeded();
  if (!answer.ok) {
    const body = await answer.json().catch(() => null);
    throw new Error(body?.error ? [body.error.message, body.error.hint].filter(Boolean).join(": ") : `status ${answer.status}`);
  }
  return answer;
}

function state(text, kind) {
  // Said once: a screen reader reads what changes.
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").className = kind;
}

function clock(date) {
  return `${date.toISOString().slice(11, 19)} UTC`;
}

function trouble(text) {
  document.body.classList.toggle("old", Boolean(text));
  const said = text && [text, answered && `Shown is what the server said at ${clock(answered)}.`].filter(Boolean).join(" ");
  if (said && $("trouble").textContent !== said) $("trouble").textContent = said;
  $("trouble").hidden = !text;
}

function failed(error) {
  if (error instanceof KeyNeeded) return askForKey();
  state(answered ? "out of date" : "no data", "warn");
  trouble(error instanceof TypeError ? "The server does not answer." : `The server answers with an error: ${error.message}.`);
}

// --- feeds --------------------------------------------------------------------------------------

async function refreshFeeds() {
  try {
    const feeds = await (await ask("/v1/feeds")).json();
    answered = new Date();
    trouble("");
    $("updated").textContent = `as of ${clock(answered)}`;
    $("cards").replaceChildren(...feeds.map(card));
    $("feeds").hidden = feeds.length === 0;
    $("verified-note").hidden = !feeds.some((feed) => feed.live);
    $("key").hidden = true;
    const well = feeds.filter((feed) => health(feed).kind === "good").length;
    const all = well === feeds.length;
    state(feeds.length ? `${well} of ${feeds.length} feeds live` : "no feeds", all && well ? "good" : "warn");
    document.title = feeds.length ? `${well}/${feeds.length} live · ssmd` : "ssmd";
  } catch (error) {
    failed(error);
  }
}

// --- datasets -----------------------------------------------------------------------------------

function row(dataset) {
  const made = element("tr");
  const open = element("button", dataset.date);
  open.addEventListener("click", () => choose(dataset).catch(failed));
  open.title = `Sample of ${dataset.feed} on ${dataset.date}`;
  const day = element("td");
  day.append(open);
  made.append(
    element("td", dataset.feed), day,
    element("td", dataset.records.toLocaleString("en"), "n"),
    element("td", dataset.tickers.toLocaleString("en"), "n wide"),
    element("td", dataset.size_mb.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 }), "n wide"),
    dataset.has_gaps ? element("td", "yes", "warn") : element("td", "none", "soft"),
  );
  if (chosen && chosen.feed === dataset.feed && chosen.date === dataset.date) made.className = "chosen";
  return made;
}

function show(datasets) {
  datasets.sort((a, b) => b.date.localeCompare(a.date) || a.feed.localeCompare(b.feed));
  const focused = document.activeElement?.title;
  $("rows").replaceChildren(...datasets.slice(0, MOST_ROWS).map(row));
  if (focused) for (const open of $("rows").querySelectorAll("button")) if (open.title === focused) open.focus();
  $("datasets").hidden = false;
  $("table").hidden = datasets.length === 0;
  $("empty").hidden = datasets.length > 0;
  $("more").hidden = datasets.length <= MOST_ROWS;
  $("more").textContent = `The newest ${MOST_ROWS} of ${datasets.length}; /datasets has all.`;
}

async function refreshDatasets() {
  try {
    show(await (await ask("/datasets")).json());
  } catch (error) {
    failed(error);
  }
}

// --- key ----------------------------------------------------------------------------------------

function askForKey() {
  if ($("key").hidden) $("key-wrong").hidden = key === null;
  key = null;
  sessionStorage.removeItem("ssmd-key");
  for (const id of ["feeds", "datasets", "sample", "trouble"]) $(id).hidden = true;
  $("key").hidden = false;
  $("updated").textContent = "";
  document.title = "ssmd";
  state("locked: an API key is needed", "warn");
}

$("key").addEventListener("submit", async (event) => {
  event.preventDefault();
  key = $("key-value").value;
  sessionStorage.setItem("ssmd-key", key);
  $("key-value").value = "";
  $("key").hidden = true;
  await refresh();
  if (!$("key").hidden) $("key-value").focus();
});

// --- sample -------------------------------------------------------------------------------------

async function choose(dataset) {
  chosen = dataset;
  $("sample-title").textContent = `Sample of ${dataset.feed} on ${dataset.date}`;
  $("sample").hidden = false;
  $("ticker").value = "";
  const types = $("type");
  types.replaceChildren(new Option("any", ""));
  await sample();
  $("sample-title").focus();
  const feeds = await (await ask("/v1/feeds")).json();
  const found = feeds.find((feed) => feed.name === dataset.feed);
  types.append(...(found?.message_types ?? []).map((type) => new Option(type, type)));
  await refreshDatasets();
}

// The array is split into its lines and not parsed as a whole: numbers stay as they were sent.
async function sample() {
  const query = new URLSearchParams({ limit: "10" });
  if ($("type").value) query.set("type", $("type").value);
  if ($("ticker").value.trim()) query.set("ticker", $("ticker").value.trim());
  const path = `/datasets/${encodeURIComponent(chosen.feed)}/${encodeURIComponent(chosen.date)}/sample?${query}`;
  $("raw").href = path;
  $("raw").hidden = key !== null;
  try {
    const answer = await ask(path);
    const text = (await answer.text()).slice(1, -1);
    const lines = text ? text.split(",\n{").map((line, i) => (i ? "{" + line : line)) : [];
    $("lines").replaceChildren(...lines.map(message));
    const damaged = answer.headers.get("X-Ssmd-Damaged");
    $("sample-note").textContent = [
      lines.length ? `The first ${lines.length}, as they are stored.` : "No such message.",
      answer.headers.get("X-Ssmd-Bus") === "unavailable" && "NATS cannot be reached: the archive only.",
      damaged && `Damaged: ${damaged}.`,
    ].filter(Boolean).join(" ");
  } catch (error) {
    if (error instanceof KeyNeeded) askForKey();
    else $("sample-note").textContent = error.message;
  }
}

function message(line) {
  const facts = JSON.parse(line);
  const made = element("li");
  const head = element("p");
  const time = new Date(facts.recv_ns / 1e6).toISOString().slice(11, 23);
  head.append(element("b", facts.type), ` ${facts.sym ?? ""} `, element("span", `${time} · ${facts.conn} ${facts.n}`, "soft"));
  made.append(head, element("code", line));
  return made;
}

$("choose").addEventListener("submit", (event) => {
  event.preventDefault();
  sample();
});
$("type").addEventListener("change", sample);

// ------------------------------------------------------------------------------------------------

async function refresh() {
  await refreshFeeds();
  if ($("key").hidden) await refreshDatasets();
}

// One question after the other: a slow server is not asked again before it has answered.
async function repeat(task, pause) {
  if (!document.hidden && $("key").hidden) await task();
  setTimeout(repeat, pause, task, pause);
}

await refresh();
setTimeout(repeat, FEEDS_MS, refreshFeeds, FEEDS_MS);
setTimeout(repeat, DATASETS_MS, refreshDatasets, DATASETS_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden && $("key").hidden) refresh(); });
