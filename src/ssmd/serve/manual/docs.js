// The API as its own document tells it. Every text goes in as text: nothing of it is markup.

const SHOWN_BYTES = 20000;

const make = (name, content = [], facts = {}) => {
  const element = Object.assign(document.createElement(name), facts);
  element.append(...[content].flat());
  return element;
};

const api = await (await fetch("/openapi.json")).json();
const resolve = (thing) =>
  thing?.$ref ? thing.$ref.slice(2).split("/").reduce((found, part) => found[part], api) : thing;

/** A schema in a line: what a value looks like. */
function shape(schema, depth = 0) {
  const found = resolve(schema) ?? {};
  const options = found.anyOf ?? found.oneOf;
  if (options) return options.filter((one) => one.const !== "").map((one) => shape(one, depth)).join(" | ");
  if (found.enum) return found.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (found.type === "array") return found.items ? `[${shape(found.items, depth)}, …]` : "[…]";
  if (found.properties && depth < 4) {
    const pad = "  ".repeat(depth + 1);
    const lines = Object.entries(found.properties).map(
      ([name, one]) => `${pad}${JSON.stringify(name)}: ${shape(one, depth + 1)}`);
    return `{\n${lines.join(",\n")}\n${"  ".repeat(depth)}}`;
  }
  return found.format ?? found.type ?? "anything";
}

function field(param) {
  const input = make("input", [], {
    name: param.name, required: param.required, autocomplete: "off", spellcheck: false,
    placeholder: String(param.schema?.default ?? [param.example ?? ""].flat()[0]),
    value: param.required ? String(param.example ?? "") : "",
  });
  input.dataset.place = param.in;
  const form = shape(param.schema?.items ?? param.schema);
  const about = make("div", [input, make("br"), param.description, " ", make("small", form)]);
  const label = make("label", make("code", param.name));
  label.htmlFor = input.id = `field-${fields++}`;
  return make("div", [label, about], { className: "param" });
}
let fields = 0;

function request(path, method, form) {
  const query = new URLSearchParams();
  let url = path;
  for (const input of form.querySelectorAll("input")) {
    if (input.dataset.place === "path") url = url.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value) for (const one of input.value.split(/\s+/)) query.append(input.name, one);
  }
  const key = document.getElementById("key").value;
  return [query.size ? `${url}?${query}` : url, {
    method,
    headers: { ...(key && { "X-API-Key": key }), ...(form.body && { "Content-Type": "application/json" }) },
    body: form.body?.value,
  }];
}

/** The first bytes of an answer: some have no end. */
async function beginning(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    if (text.length > SHOWN_BYTES) {
      reader.cancel();
      return `${text.slice(0, SHOWN_BYTES)}\n…`;
    }
  }
  return text;
}

async function ask(path, method, form, output) {
  const [url, options] = request(path, method, form);
  output.hidden = false;
  output.textContent = `${method} ${url}\n…`;
  try {
    const answer = await fetch(url, options);
    output.textContent = `${method} ${url}\n${answer.status} ${answer.headers.get("content-type") ?? ""}\n\n`;
    output.textContent += await beginning(answer);
  } catch (error) {
    output.textContent = `${method} ${url}\n${error.message}`;
  }
}

function answers(operation) {
  const rows = Object.entries(operation.responses).map(([status, one]) => {
    const found = resolve(one);
    const kinds = status === "200" ? Object.keys(found.content ?? {}).join(", ") : "";
    return make("tr", [make("td", make("code", status)), make("td", [found.description, " ", make("small", kinds)])]);
  });
  const schema = resolve(operation.responses["200"])?.content?.["application/json"]?.schema;
  return [make("h3", "Answers"), make("table", rows), ...(schema ? [make("pre", shape(schema))] : [])];
}

function operation(path, method, one) {
  const output = make("pre", [], { hidden: true });
  output.setAttribute("role", "status");
  const form = make("form", one.parameters.map(field));
  if (one.requestBody) {
    const media = one.requestBody.content["application/json"];
    const body = make("textarea", JSON.stringify(media.example ?? {}, null, 1), { name: "body" });
    form.append(make("label", [one.requestBody.description, body]));
  }
  if (one.responses["200"]) form.append(make("p", make("button", "Ask")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(path, method.toUpperCase(), form, output);
  });
  const title = [make("b", one.responses["101"] ? "WS" : method.toUpperCase()), make("code", path), make("span", one.summary)];
  const whole = make("div", [...(one.description ? [make("p", one.description)] : []), form, output, ...answers(one)]);
  const details = make("details", [make("summary", title), whole], { id: one.operationId });
  details.dataset.words = `${path} ${one.summary} ${one.description ?? ""}`.toLowerCase();
  return details;
}

const groups = new Map();
for (const [path, methods] of Object.entries(api.paths))
  for (const [method, one] of Object.entries(methods)) {
    const tag = one.tags[0];
    groups.set(tag, [...(groups.get(tag) ?? []), operation(path, method, one)]);
  }
document.getElementById("operations").append(
  ...[...groups].map(([tag, list]) => make("section", [make("h2", tag), ...list])));
document.getElementById("about").textContent = `${api.info.summary}, version ${api.info.version}. ${api.info.description}`;
document.getElementById("keyed").hidden = !api.security.length;
document.getElementById("find").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/);
  for (const details of document.querySelectorAll("details"))
    details.hidden = !words.every((word) => details.dataset.words.includes(word));
  for (const section of document.querySelectorAll("section"))
    section.hidden = !section.querySelector("details:not([hidden])");
});
const wanted = document.getElementById(location.hash.slice(1));
if (wanted) wanted.open = true;
