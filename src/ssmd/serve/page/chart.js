// The price chart: candles, volume and trades on uPlot, with gaps shaded.
import { colour, onTheme } from "/page/colours.js";
import { candles, shade, ticks, volumes } from "/page/candles.js";

/** @typedef {{start: number, open: number, high: number, low: number, close: number, volume: number, count: number}} Bar Times in ms. */

/** @type {Promise<any> | undefined} */
let library;

/** uPlot is a classic script: it is loaded when a chart is first wanted. @returns {Promise<any>} */
function load() {
  library ??= new Promise((resolve, reject) => {
    const style = Object.assign(document.createElement("link"), {
      rel: "stylesheet",
      href: "/page/vendor/uPlot.css",
    });
    const script = Object.assign(document.createElement("script"), { src: "/page/vendor/uPlot.js" });
    script.addEventListener("load", () => resolve(/** @type {any} */ (window).uPlot));
    script.addEventListener("error", () => reject(new TypeError("the chart's library does not load")));
    document.head.append(style, script);
  });
  return library;
}

/** @param {Bar[]} bars */
const columns = (bars) => [
  bars.map((bar) => bar.start / 1000),
  bars.map((bar) => bar.open),
  bars.map((bar) => bar.high),
  bars.map((bar) => bar.low),
  bars.map((bar) => bar.close),
  bars.map((bar) => bar.volume),
];

/** @typedef {{bars: Bar[], trades: {t: number, price: number, buy: boolean}[], gaps: {from: number, to: number}[], step: number, from: number, to: number}} Scene */

/**
 * @param {HTMLElement} root @param {Scene} scene what is drawn; change it, then call `draw`
 * @param {(bar: Bar | undefined) => void} point told of the bar under the pointer
 * @param {AbortSignal} signal
 */
export async function chart(root, scene, point, signal) {
  const uPlot = await load();
  if (signal.aborted) return { draw: () => {} };
  const axis = {
    stroke: () => colour("soft"),
    grid: { stroke: () => colour("line"), width: 1 },
    ticks: { show: false },
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
  };
  const plot = new uPlot(
    {
      width: root.clientWidth,
      height: root.clientHeight,
      tzDate: (/** @type {number} */ s) => uPlot.tzDate(new Date(s * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      padding: [12, 4, 0, 8],
      scales: {
        x: { time: true, range: () => [scene.from / 1000, scene.to / 1000] },
        y: {
          range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) =>
            room(scene, low, high),
        },
      },
      axes: [
        { ...axis, space: 80, size: 28, values: times },
        {
          ...axis,
          side: 1,
          size: 68,
          gap: 8,
          values: (/** @type {any} */ _, /** @type {number[]} */ found) => ticks(found),
        },
      ],
      series: [
        {},
        ...["open", "high", "low", "close"].map((label) => ({
          label,
          paths: () => null,
          points: { show: false },
        })),
        { scale: "volume", paths: () => null, points: { show: false } },
      ],
      hooks: {
        drawClear: [(/** @type {any} */ u) => shade(u, scene)],
        draw: [(/** @type {any} */ u) => (volumes(u, scene), candles(u, scene))],
        setCursor: [
          (/** @type {any} */ u) => point(u.cursor.idx === null ? undefined : scene.bars[u.cursor.idx]),
        ],
      },
    },
    columns(scene.bars),
    root,
  );
  const fit = new ResizeObserver(() => plot.setSize({ width: root.clientWidth, height: root.clientHeight }));
  fit.observe(root);
  onTheme(() => plot.redraw(true, true), signal);
  signal.addEventListener("abort", () => {
    fit.disconnect();
    plot.destroy();
  });
  return { draw: () => plot.setData(columns(scene.bars)) };
}

/** The scale: what is seen, with room below for the volume. @param {Scene} scene @param {number} low @param {number} high */
function room(scene, low, high) {
  const seen = scene.bars.filter((bar) => bar.start + scene.step >= scene.from && bar.start <= scene.to);
  if (!seen.length) return [low ?? 0, high ?? 1];
  low = Math.min(...seen.map((bar) => bar.low));
  high = Math.max(...seen.map((bar) => bar.high));
  const pad = high - low || Math.abs(high) * 0.001 || 1;
  return [low - pad * 0.32, high + pad * 0.08];
}

/** @param {any} u @param {number[]} found seconds */
function times(u, found) {
  const near = found.length > 1 && found[1] - found[0] < 60;
  const far = found.length > 1 && found[1] - found[0] >= 86_400;
  return found.map((s) => {
    if (u.valToPos(s, "x") < 20) return null; // it would be cut off
    const text = new Date(s * 1000).toISOString();
    return far ? text.slice(5, 10) : text.slice(11, near ? 19 : 16);
  });
}
