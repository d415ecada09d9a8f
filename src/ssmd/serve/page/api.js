// Questions to the server. The key is kept in this tab only.

const KEY = "ssmd-key";
let key = sessionStorage.getItem(KEY);

/** The server wants a key, or another one. */
export class KeyNeeded extends Error {}

/** An answer that is an error: `{"error": {code, message, hint}}`. */
export class Refused extends Error {
  /** @param {number} status @param {{code?: string, message?: string, hint?: string}} [said] */
  constructor(status, said) {
    super([said?.message ?? `status ${status}`, said?.hint].filter(Boolean).join(": "));
    this.status = status;
  }
}

export const hasKey = () => Boolean(key);

/** @param {string | null} value */
export function useKey(value) {
  key = value;
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/** The key's bytes as characters: that is what a header carries. */
const bytes = () => String.fromCharCode(...new TextEncoder().encode(key ?? ""));

/**
 * @typedef {string | number | null | undefined} Value
 * @param {string} path @param {Record<string, Value | Value[]>} [params]
 */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(params)) {
    for (const value of [values].flat())
      if (value !== null && value !== undefined && value !== "") query.append(name, String(value));
  }
  return query.size ? `${path}?${query}` : path;
}

/**
 * @param {string} path @param {Record<string, Value | Value[]>} [params] @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
export async function fetched(path, params, signal) {
  const headers = key ? { "X-API-Key": bytes() } : undefined;
  const answer = await fetch(address(path, params), { headers, signal });
  if (answer.status === 401) throw new KeyNeeded("a key is needed");
  if (!answer.ok) throw new Refused(answer.status, (await answer.json().catch(() => null))?.error);
  return answer;
}

/**
 * @param {string} path @param {Record<string, Value | Value[]>} [params] @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export const ask = async (path, params, signal) => (await fetched(path, params, signal)).json();

/** Rows of a table, at most `limit`. @param {string} name @param {Record<string, Value | Value[]>} params @param {AbortSignal} [signal] */
export const rows = async (name, params, signal) =>
  /** @type {any[]} */ ((await ask(`/v1/${name}`, params, signal)).rows);

/** Milliseconds as ns, exact: a number could not hold them. @param {number} ms */
export const ns = (ms) => `${Math.round(ms)}000000`;
