// Why data is missing, in plain words.

/** @type {Record<string, string>} */
const CAUSES = {
  audit: "A book differed from what the exchange's REST answer said; it was fetched anew.",
  checksum: "The exchange's checksum did not match our book: a change was missed or wrong.",
  closed: "The exchange closed the connection.",
  crossed: "The best bid stood at or above the best ask: a change must be missing.",
  disconnected: "The connection was lost; from the last frame until the new snapshots nothing is known.",
  hash: "The exchange's hash did not match our book: a change was missed or wrong.",
  killed: "The connector was ended without warning; the next one noted where it stopped.",
  lost: "The exchange dropped a subscription; it was made again.",
  mute: "An instrument stopped sending although its market moved; it was subscribed again.",
  mute_suspected: "An instrument was silent, and REST could not say whether its market moved.",
  negative: "A level would have held less than nothing: a change must be missing or doubled.",
  new_epoch: "A new connection began; until its snapshots the books are not known.",
  no_snapshot: "The exchange was asked for a snapshot and sent none in time.",
  not_archived: "Messages were in the stream, and left it before the archiver could store them.",
  overflow:
    "More waited than may be kept on disk (or the disk was full), so frames were dropped and counted.",
  oversize: "A frame was larger than can be stored; its number and size are noted.",
  protocol: "The exchange broke the WebSocket protocol; the connection was made again.",
  segment_damaged: "An archived file is missing or has not its size; what it held may be lost.",
  sequence: "Sequence numbers jumped: the frames between were never received.",
  silent: "Nothing came for too long, not even a heartbeat; the connection was made again.",
  spill_damaged: "A file of waiting messages could not be read back whole.",
  stopped: "The connector was stopped on purpose.",
  top: "The best price that the exchange names is not the best of our book.",
  unmatched: "An answer belonged to no question; the subscription was made again.",
  unreadable: "A change could not be read, so the book could not be kept up.",
};

export const causes = Object.keys(CAUSES);

/** @param {string} cause */
export const explain = (cause) =>
  CAUSES[cause] ?? "A cause that this page has no words for; its facts are in the archive.";

/** How it ended. @param {{to_ns: number | null, outcome: string | null}} gap @returns {[string, string]} word and kind */
export function ending(gap) {
  if (gap.outcome === "repaired" || gap.outcome === "synced") return ["repaired", "good"];
  if (gap.outcome === "lost") return ["lost", "bad"];
  if (gap.to_ns === null) return ["open", "bad"];
  return [gap.outcome ?? "closed", "idle"];
}
