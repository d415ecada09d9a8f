// One feed as a card: how it does, and how much came in the last minutes.
const SVG = "http://www.w3.org/2000/svg";
const STEP_S = 5;
const STALE_S = 60;

export function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// The word for a feed, whether that is well, and what a person should know of it.
export function health(feed) {
  const silent = feed.age_s !== null && feed.age_s > STALE_S;
  const since = silent ? `No message for ${duration(feed.age_s)}.` : "";
  if (feed.live) {
    const { state, detail } = feed.live;
    if (state === "live" && silent) return { word: "stale", kind: "warn", detail: since };
    return { word: state.replaceAll("_", " "), kind: state === "live" ? "good" : "warn", detail: [detail, since].filter(Boolean).join(" ") };
  }
  if (feed.age_s === null) return { word: "empty", kind: "soft", detail: "Nothing is archived yet." };
  if (!silent) return { word: "live", kind: "good", detail: "" };
  return { word: "stale", kind: "warn", detail: `${since} No connector of this machine captures it.` };
}

// The last stretch is not over: it would always look like a fall.
const whole = (feed) => feed.recent.slice(0, -1).map((count) => count / STEP_S);

function path(d, className) {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("d", d);
  made.setAttribute("class", className);
  return made;
}

function curve(rates, top) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("class", "curve");
  made.setAttribute("viewBox", `0 0 ${rates.length - 1} 1`);
  made.setAttribute("preserveAspectRatio", "none");
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", `Messages a second in the last five minutes: at most ${speed(top)}, now ${speed(rates.at(-1))}`);
  const line = rates.map((rate, i) => `${i ? "L" : "M"}${i} ${(1 - (0.94 * rate) / (top || 1)).toFixed(4)}`).join("");
  made.append(path(`${line}L${rates.length - 1} 1L0 1Z`, "area"), path(line, "line"));
  return made;
}

function speed(rate) {
  return rate.toLocaleString("en", { maximumFractionDigits: rate < 10 ? 1 : 0 });
}

function day(date) {
  return new Date(date).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
}

function fact(name, value, kind, title) {
  const made = element("div");
  if (title) made.title = title;
  made.append(element("dt", name), element("dd", value, kind));
  return made;
}

function verified(live) {
  const checked = live ? live.verified + live.unverified + live.broken : 0;
  if (!checked) return fact("Verified", "–", "soft");
  const share = `${((100 * live.verified) / checked).toFixed(1)} %`;
  const text = live.broken ? `${share}, ${live.broken.toLocaleString("en")} broken` : share;
  return fact("Verified", text, live.broken ? "warn" : "", `${live.verified.toLocaleString("en")} of ${checked.toLocaleString("en")} messages`);
}

export function card(feed) {
  const { word, kind, detail } = health(feed);
  const rates = whole(feed);
  const top = Math.max(...rates);
  const made = element("article", undefined, "feed");
  const head = element("header");
  head.append(element("h3", feed.name), element("span", word, `pill ${kind}`));
  const scale = element("p", undefined, "scale");
  scale.append(element("span", "5 min ago"), element("span", `peak ${speed(top)}/s`), element("span", "now"));
  const facts = element("dl", undefined, "facts");
  const silent = feed.age_s !== null && feed.age_s > STALE_S;
  facts.append(
    fact(feed.last ? `Messages, ${day(feed.last)}` : "Messages", feed.records.toLocaleString("en")),
    fact("Messages/s", speed(rates.at(-1))),
    fact("Last message", feed.age_s === null ? "–" : `${duration(feed.age_s)} ago`, silent ? "warn" : "", feed.last_message ?? ""),
    fact("Gaps", feed.gaps ? feed.gaps.toLocaleString("en") : "none", feed.gaps ? "warn" : ""),
    verified(feed.live),
    fact("Median delay", feed.live?.age_ms_p50 == null ? "–" : `${speed(feed.live.age_ms_p50)} ms`, "", "Receive time less the exchange's own time"),
  );
  made.append(head, curve(rates, top), scale, facts);
  if (detail) made.append(element("p", detail, `detail ${kind}`));
  return made;
}
