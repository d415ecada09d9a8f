// Bars in numbers.
import { h, say, th } from "/page/dom.js";
import { amount, moment } from "/page/format.js";

/** @param {HTMLElement} legend @param {import("/page/chart.js").Bar | undefined} bar @param {boolean} pointed */
export function bar(legend, bar, pointed) {
  if (!bar) return say(legend, "");
  const number = (/** @type {number} */ value) => value.toLocaleString("en", { maximumSignificantDigits: 8 });
  say(
    legend,
    `${pointed ? moment(bar.start * 1e6) : "last bar"}   O ${number(bar.open)}  H ${number(bar.high)}  L ${number(bar.low)}  C ${number(bar.close)}  V ${amount(bar.volume)}`,
  );
}

/** The newest bars in numbers, made only while somebody looks. @param {HTMLElement} place @param {import("/page/chart.js").Bar[]} bars @param {() => boolean} open */
export function barTable(place, bars, open) {
  const fill = () =>
    place.replaceChildren(
      h(
        "table",
        {},
        h("caption.hidden", {}, "The newest bars"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            th("Start (UTC)"),
            ...["Open", "High", "Low", "Close", "Volume", "Trades"].map((name) => th(name, "n")),
          ),
        ),
        h(
          "tbody",
          {},
          bars
            .slice(-60)
            .reverse()
            .map((one) =>
              h(
                "tr",
                {},
                h("td", {}, moment(one.start * 1e6)),
                [one.open, one.high, one.low, one.close, one.volume, one.count].map((value) =>
                  h("td.n", {}, value.toLocaleString("en", { maximumSignificantDigits: 10 })),
                ),
              ),
            ),
        ),
      ),
    );
  if (open()) fill();
  else place.parentElement?.addEventListener("toggle", fill, { once: true });
}
