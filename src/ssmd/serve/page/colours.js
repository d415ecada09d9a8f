// The theme: chosen or the system's, and its colours for what is drawn on a canvas.

const root = document.documentElement;
const ORDER = ["auto", "light", "dark"];
const changed = new EventTarget();
/** @type {Map<string, string>} */
const known = new Map();

function forget() {
  known.clear();
  changed.dispatchEvent(new Event("change"));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forget);

export const theme = () => root.dataset.theme ?? "auto";

/** The next of system, light, dark. */
export function turn() {
  root.dataset.theme = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length];
  try {
    localStorage.setItem("ssmd-theme", root.dataset.theme);
  } catch {
    // Storage is shut off: the choice holds as long as the page.
  }
  forget();
}

/** @param {() => void} work @param {AbortSignal} signal */
export const onTheme = (work, signal) => changed.addEventListener("change", work, { signal });

/** A custom property's colour as the browser resolves it. @param {string} name @param {number} [alpha] */
export function colour(name, alpha = 1) {
  if (!known.has(name)) {
    const probe = document.createElement("i");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    known.set(name, (getComputedStyle(probe).color.match(/[\d.]+/g) ?? []).slice(0, 3).join(" "));
    probe.remove();
  }
  return `rgb(${known.get(name)} / ${alpha})`;
}
