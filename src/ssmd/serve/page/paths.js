// Which questions this server answers: a view asks nothing that is not there.
import { ask } from "/page/api.js";

/** @type {Promise<Set<string>> | undefined} */
let known;

/** @param {string} path @returns {Promise<boolean>} */
export async function has(path) {
  known ??= ask("/openapi.json").then((document) => new Set(Object.keys(document.paths)));
  try {
    return (await known).has(path);
  } catch (error) {
    known = undefined; // asked again when it answers
    throw error;
  }
}
