// A day's quality in one of six levels, for the calendar and the strips.
import { count, percent } from "/page/format.js";

/**
 * @typedef {{feed: string, date: string, messages: number, market_data: number, first_recv_ns: number | null,
 *   last_recv_ns: number | null, connections: number, captured_s: number, coverage: number | null,
 *   verified_share: number | null, clean_share: number | null, gaps: number, compacted: boolean}} DayRow
 */

export const MEASURES = /** @type {[string, string][]} */ ([
  ["quality", "Quality"],
  ["coverage", "Coverage"],
  ["clean_share", "Clean"],
  ["verified_share", "Verified"],
]);

/** What a level says, for the legend: level 0 is no data. */
export const LEVELS = ["no data", "under 50 %", "50 – 90 %", "90 – 99 %", "99 – 99.9 %", "99.9 % and more"];

/** @param {number | null | undefined} share */
function level(share) {
  if (share === null || share === undefined) return 1;
  return share >= 0.999 ? 5 : share >= 0.99 ? 4 : share >= 0.9 ? 3 : share >= 0.5 ? 2 : 1;
}

/** The share that a measure shows. Quality is the worse of covered and clean. @param {DayRow} row @param {string} measure */
export function share(row, measure) {
  if (measure !== "quality") return /** @type {any} */ (row)[measure];
  return Math.min(row.coverage ?? 0, row.clean_share ?? 0);
}

/** @param {DayRow | undefined} row @param {string} [measure] */
export function quality(row, measure = "quality") {
  if (!row || !row.messages) return { level: 0, text: "no data" };
  const parts = [
    `${percent(row.coverage)} covered`,
    `${percent(row.clean_share)} clean`,
    `${percent(row.verified_share)} verified`,
    `${count(row.gaps)} gaps`,
  ];
  return { level: level(share(row, measure)), text: parts.join(", ") };
}
