// Asking again and again, as long as somebody looks.

/** @typedef {() => Promise<void>} Work */

/** @type {(error: unknown, name: unknown) => void} */
let failed = () => {};
/** @type {(name: unknown) => void} */
let fine = () => {};

/** Who is told how it goes. @param {typeof failed} onError @param {typeof fine} onFine */
export function report(onError, onFine) {
  failed = onError;
  fine = onFine;
}

/** Whether an error only says that the view was left. @param {unknown} error */
export const left = (error) => error instanceof DOMException && error.name === "AbortError";

/**
 * Do it once, and tell what goes wrong, until the same goes well. True where it did.
 * @param {Work} work @param {AbortSignal} signal @param {unknown} [name] what is the same
 */
export async function once(work, signal, name = work) {
  try {
    await work();
    if (!signal.aborted) fine(name);
    return true;
  } catch (error) {
    if (!signal.aborted && !left(error)) failed(error, name);
    return false;
  }
}

/**
 * Do it now and every `ms`, never twice at a time, and not while the tab is hidden.
 * @param {Work} work @param {number} ms @param {AbortSignal} signal
 */
export function every(work, ms, signal) {
  let timer = 0;
  const turn = async () => {
    if (!document.hidden || !started) await once(work, signal);
    started = true;
    if (!signal.aborted) timer = window.setTimeout(turn, ms);
  };
  let started = false;
  signal.addEventListener("abort", () => clearTimeout(timer));
  void turn();
}

/**
 * Draw at most once a frame, however often it is asked for.
 * @param {() => void} draw @param {AbortSignal} signal
 */
export function framed(draw, signal) {
  let waiting = 0;
  signal.addEventListener("abort", () => cancelAnimationFrame(waiting));
  return () => {
    if (waiting || signal.aborted) return;
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      draw();
    });
  };
}
