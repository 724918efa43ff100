/**
 * The chart: how many users were online, as steps, for the last 30 seconds at first and for the
 * last five minutes at most.
 *
 * It takes a sample every second, and one when the number changes. Where the number was not known,
 * the line has a gap. The style sheet has the colors.
 *
 * @module
 */
import { element, setText } from "./dom.js";

const SPAN_MS_MIN = 30_000;
const SPAN_MS_MAX = 5 * 60_000;
/** The least time between two samples when the number changes all the time. */
const SAMPLE_MS_MIN = 200;
const MARGIN = { top: 8, right: 14, bottom: 22, left: 40 };
const SVG = "http://www.w3.org/2000/svg";
const whole = new Intl.NumberFormat("en");

export class Chart {
  /** @type {{ at: number, count: number | undefined }[]} */
  #samples = [];
  #read;

  /** @param {() => number | undefined} read Returns how many users are online, or `undefined` if that is not known. */
  constructor(read) {
    this.#read = read;
    this.tick();
  }

  /** Takes a sample if the number has changed. */
  note() {
    const last = this.#samples.at(-1);
    const isDue = Date.now() - last.at >= SAMPLE_MS_MIN;
    if (isDue && last.count !== this.#read()) this.tick();
  }

  /** Takes a sample and draws. Called every second; in the background, browsers call it less often. */
  tick() {
    const now = Date.now();
    this.#samples.push({ at: now, count: this.#read() });
    while (this.#samples[0].at < now - SPAN_MS_MAX) this.#samples.shift();
    if (!document.hidden) this.#draw(now);
  }

  #draw(now) {
    const chart = element("chart");
    const counts = this.#samples.map(({ count }) => count)
      .filter((count) => count !== undefined);
    const top = roundUp(Math.max(...counts, 4));
    const spanMs = Math.max(now - this.#samples[0].at, SPAN_MS_MIN);
    const { clientWidth: width, clientHeight: height } = chart;
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const x = (at) => right - (now - at) / spanMs * (right - MARGIN.left);
    const y = (count) => bottom - count / top * (bottom - MARGIN.top);
    const title = `Online, last ${inWords(spanMs)}`;
    const current = this.#read();
    setText(element("chart-title"), title);
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.setAttribute("aria-label", describe(title, counts, current));
    chart.replaceChildren(
      ...[0, top / 2, top].flatMap((count) => [
        shape("path", {
          class: "grid",
          d: `M${MARGIN.left} ${y(count)}H${right}`,
        }),
        label(whole.format(count), MARGIN.left - 8, y(count) + 4, "end"),
      ]),
      ...ticks(spanMs).map(({ ms, text }) =>
        label(text, x(now - ms), height - 4, "middle")
      ),
      label("now", right + 10, height - 4, "end"),
      shape("path", { class: "area", d: this.#areas(x, y, now) }),
      shape("path", { class: "line", d: this.#steps(x, y, now).join("") }),
      ...current === undefined
        ? []
        : [shape("circle", { class: "end", cx: right, cy: y(current), r: 4 })],
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
export function roundUp(count) {
  const unit = 10 ** Math.floor(Math.log10(count));
  const step = [1, 2, 3, 4, 6, 8, 10].find((step) => step * unit >= count);
  return Math.max(4, step * unit);
}

/** The times before now that get a label: two to five of them. In milliseconds, with their words. */
export function ticks(spanMs) {
  const step = [10_000, 20_000, 30_000, 60_000]
    .find((step) => spanMs / step <= 5) ?? 60_000;
  return Array.from({ length: Math.floor(spanMs / step) }, (_, index) => {
    const ms = (index + 1) * step;
    return {
      ms,
      text: step < 60_000 ? `${ms / 1_000} s` : `${ms / 60_000} min`,
    };
  });
}

/** Tens of seconds below two minutes, then whole minutes. */
export function inWords(spanMs) {
  const seconds = Math.floor(spanMs / 10_000) * 10;
  return seconds < 120
    ? `${seconds} seconds`
    : `${Math.floor(seconds / 60)} minutes`;
}

function describe(title, counts, now) {
  const current = now === undefined ? "unknown now" : `${now} now`;
  if (counts.length === 0) return `${title}: ${current}`;
  return `${title}: ${current}, between ${Math.min(...counts)} and ${
    Math.max(...counts)
  }`;
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
