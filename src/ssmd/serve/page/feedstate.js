// What a feed's state is in a word, and whether that is well.
import { duration, words } from "/page/format.js";

const STALE_S = 60;

/**
 * @typedef {{state: string, detail: string | null, verified: number, unverified: number, broken: number,
 *   unacked: number, age_ms_p50: number | null}} Live
 * @typedef {{name: string, exchange: string | null, configured: boolean, days: number, first: string | null,
 *   last: string | null, message_types: string[], records: number, gaps: number, last_message: string | null,
 *   age_s: number | null, recent: number[], live: Live | null}} Feed
 */

/** @param {Feed} feed */
export const silent = (feed) => feed.age_s !== null && feed.age_s > STALE_S;

/** @param {Feed} feed @returns {{word: string, kind: string, detail: string}} */
export function health(feed) {
  const since = silent(feed) ? `No message for ${duration(feed.age_s ?? 0)}.` : "";
  if (feed.live) {
    const { state, detail } = feed.live;
    if (state === "live" && since) return { word: "stale", kind: "warn", detail: since };
    return {
      word: words(state),
      kind: state === "live" ? "good" : "warn",
      detail: [detail, since].filter(Boolean).join(" "),
    };
  }
  if (feed.age_s === null) return { word: "empty", kind: "idle", detail: "Nothing is archived yet." };
  if (!since) return { word: "live", kind: "good", detail: "" };
  return { word: "archive", kind: "idle", detail: `${since} No connector of this machine captures it.` };
}

/** Messages a second in each stretch; the last is not over, and would look like a fall. @param {Feed} feed */
export const rates = (feed) => feed.recent.slice(0, -1).map((messages) => messages / 5);
