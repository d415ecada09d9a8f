// The question for a key.
import { hasKey, useKey } from "/page/api.js";
import { h } from "/page/dom.js";

/** @param {() => void} again what to do once there is a key */
export function form(again) {
  const input = h("input", { id: "key-value", type: "password", autocomplete: "off", required: true });
  const wrong = hasKey() && h("p.bad", { role: "alert" }, "That key is not accepted.");
  const made = h(
    "form.panel",
    { id: "key" },
    h("h1", {}, "An API key is needed"),
    h(
      "p.soft",
      {},
      "This server shows its data to those who have a key. It is kept in this tab only, and forgotten when the tab is closed.",
    ),
    h("label", { for: "key-value" }, "API key"),
    h("div.line", {}, input, h("button.main", {}, "Show the data")),
    wrong,
  );
  made.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    useKey(input.value);
    made.remove();
    again();
  });
  return made;
}
