/**
 * The chart: how many users were online during the last five minutes, as steps.
 *
 * It takes one sample per second and draws once per sample. Where the number was not known,
 * the line has a gap. The style sheet has the colors.
 *
 * @module
 */
import { element } from "./dom.js";

const SAMPLE_MS = 1_000;
const SPAN_MS = 5 * 60_000;
const HEIGHT = 140;
const MARGIN = { top: 8, right: 8, bottom: 22, left: 44 };
const SVG = "http://www.w3.org/2000/svg";
const whole = new Intl.NumberFormat("en");

export class Chart {
  /** @type {{ at: number, count: number | undefined }[]} */
  #samples = [];
  #read;

  /** @param {() => number | undefined} read Returns how many users are online, or `undefined` if that is not known. */
  constructor(read) {
    this.#read = read;
    this.#sample();
    setInterval(() => this.#sample(), SAMPLE_MS);
  }

  #sample() {
    // Counting samples would be wrong: a browser slows down the timers of a page in the background.
    const now = Date.now();
    this.#samples.push({ at: now, count: this.#read() });
    while (this.#samples[0].at < now - SPAN_MS) this.#samples.shift();
    if (!document.hidden) this.#draw(now);
  }

  #draw(now) {
    const chart = element("chart");
    const counts = this.#samples.map(({ count }) => count)
      .filter((count) => count !== undefined);
    const top = roundUp(Math.max(...counts, 4));
    const width = chart.clientWidth;
    const right = width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    const x = (at) => right - (now - at) / SPAN_MS * (right - MARGIN.left);
    const y = (count) => bottom - count / top * (bottom - MARGIN.top);
    chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    chart.setAttribute("aria-label", describe(counts, this.#read()));
    chart.replaceChildren(
      ...[0, top / 2, top].flatMap((count) => [
        shape("path", {
          class: "grid",
          d: `M${MARGIN.left} ${y(count)}H${right}`,
        }),
        label(whole.format(count), MARGIN.left - 8, y(count) + 4, "end"),
      ]),
      label("5 min ago", MARGIN.left, HEIGHT - 4, "start"),
      label("now", right, HEIGHT - 4, "end"),
      shape("path", { class: "area", d: this.#areas(x, y, now) }),
      shape("path", { class: "line", d: this.#steps(x, y, now).join("") }),
    );
  }

  /** One path for each part of the line between two gaps. */
  #steps(x, y, now) {
    const paths = [];
    let isOpen = false;
    for (const [index, { at, count }] of this.#samples.entries()) {
      const end = x(this.#samples[index + 1]?.at ?? now).toFixed(1);
      if (count !== undefined) {
        const level = y(count).toFixed(1);
        if (isOpen) paths.push(`${paths.pop()}V${level}H${end}`);
        else paths.push(`M${x(at).toFixed(1)} ${level}H${end}`);
      }
      isOpen = count !== undefined;
    }
    return paths;
  }

  #areas(x, y, now) {
    return this.#steps(x, y, now).map((path) => {
      const start = /^M(\S+)/.exec(path)[1];
      return `${path}V${y(0)}H${start}Z`;
    }).join("");
  }
}

/** The top of the scale: the smallest round number with a whole half that is at least `count`. */
function roundUp(count) {
  const unit = 10 ** Math.floor(Math.log10(count));
  const step = [1, 2, 4, 6, 8, 10].find((step) => step * unit >= count);
  return Math.max(4, step * unit);
}

function describe(counts, now) {
  const current = now === undefined ? "unknown now" : `${now} now`;
  if (counts.length === 0) return `Online: ${current}`;
  return `Online: ${current}, in the last 5 minutes between ${
    Math.min(...counts)
  } and ${Math.max(...counts)}`;
}

function shape(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    node.setAttribute(key, String(value));
  }
  return node;
}

function label(text, x, y, anchor) {
  const node = shape("text", { x, y, "text-anchor": anchor });
  node.textContent = text;
  return node;
}
