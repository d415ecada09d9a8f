// What is shown is asked for every few seconds; text goes in as text, never as markup.
const REFRESH_MS = 5000;
const MOST_ROWS = 200;
const $ = (id) => document.getElementById(id);
let key = sessionStorage.getItem("ssmd-key");
let chosen = null;

class KeyNeeded extends Error {}

async function ask(path) {
  const answer = await fetch(path, { headers: key ? { "X-API-Key": key } : {} });
  if (answer.status === 401) throw new KeyNeeded();
  if (!answer.ok) {
    const body = await answer.json().catch(() => null);
    throw new Error(body?.error ? [body.error.message, body.error.hint].filter(Boolean).join(": ") : `status ${answer.status}`);
  }
  return answer;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function state(text, kind) {
  $("state").textContent = text;
  $("state").className = kind;
}

function row(dataset) {
  const made = element("tr");
  const open = element("button", dataset.date);
  open.addEventListener("click", () => choose(dataset));
  open.title = `Sample of ${dataset.feed} on ${dataset.date}`;
  const day = element("td");
  day.append(open);
  made.append(
    element("td", dataset.feed), day,
    element("td", dataset.records.toLocaleString("en"), "n"),
    element("td", dataset.tickers.toLocaleString("en"), "n"),
    element("td", dataset.size_mb.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 }), "n"),
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
  $("key").hidden = true;
  $("table").hidden = datasets.length === 0;
  $("empty").hidden = datasets.length > 0;
  $("more").hidden = datasets.length <= MOST_ROWS;
  $("more").textContent = `The newest ${MOST_ROWS} of ${datasets.length}; /datasets has all.`;
}

async function refresh() {
  try {
    show(await (await ask("/datasets")).json());
    const ready = await fetch("/ready");
    const { detail } = await ready.json();
    state(ready.ok ? "ready" : detail, ready.ok ? "good" : "warn");
  } catch (error) {
    if (error instanceof KeyNeeded) askForKey();
    else state(error instanceof TypeError ? "the server does not answer" : error.message, "warn");
  }
}

function askForKey() {
  $("key-wrong").hidden = key === null;
  key = null;
  sessionStorage.removeItem("ssmd-key");
  for (const id of ["datasets", "sample"]) $(id).hidden = true;
  $("key").hidden = false;
  state("locked", "warn");
}

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
  refresh();
}

// The array is split into its lines and not parsed as a whole: numbers stay as they were sent.
async function sample() {
  const query = new URLSearchParams({ limit: "10" });
  if ($("type").value) query.set("type", $("type").value);
  if ($("ticker").value.trim()) query.set("ticker", $("ticker").value.trim());
  const path = `/datasets/${encodeURIComponent(chosen.feed)}/${chosen.date}/sample?${query}`;
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

$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key-value").value;
  sessionStorage.setItem("ssmd-key", key);
  $("key-value").value = "";
  refresh();
});
$("choose").addEventListener("submit", (event) => {
  event.preventDefault();
  sample();
});
$("type").addEventListener("change", sample);
refresh();
setInterval(() => { if (!document.hidden && $("key").hidden) refresh(); }, REFRESH_MS);
