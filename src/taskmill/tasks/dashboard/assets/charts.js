// The last hour of a queue, drawn by uPlot. It is fetched only where a chart is to be seen.

import { html, useEffect, useRef, useState } from "./preact.js";
import { number, span, usePoll } from "./parts.js";

const HEIGHT = 150; // pixels
const HOUR = 60; // minutes
const LEAST = 15; // of them are shown, however short the history is

let library = null;

function drawing() {
  library ??= new Promise((resolve, reject) => {
    const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "dashboard/uplot.css" });
    const script = Object.assign(document.createElement("script"), { src: "dashboard/uplot.js" });
    script.onload = () => resolve(globalThis.uPlot);
    script.onerror = reject;
    document.head.append(style, script);
  });
  return library;
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The legend tells of the last minute, until somebody points at another. */
function newest(chart) {
  if (chart.cursor.idx === null || chart.cursor.left < 0) chart.setLegend({ idx: chart.data[0].length - 1 }, false);
}

function options(width, lines, write, least) {
  const axis = {
    stroke: color("soft"), font: "11px system-ui, sans-serif", grid: { stroke: color("line"), width: 1 }, ticks: { show: false },
  };
  return {
    width, height: HEIGHT, cursor: { y: false, points: { size: 6 } }, legend: { live: true }, hooks: { setLegend: [newest] },
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max((most ?? 0) * 1.1, least)] } },
    axes: [
      { ...axis, values: "{HH}:{mm}", space: 70, size: 26 },
      { ...axis, size: 54, space: 34, values: (_, ticks) => ticks.map((tick) => (tick === 0 ? "0" : write(tick))) },
    ],
    series: [
      { value: (_, at) => (at === null ? "" : new Date(at * 1000).toTimeString().slice(0, 5)), label: "at" },
      ...lines.map(({ label, tone, dash, gaps = true }) => ({
        label, stroke: color(tone), fill: dash ? undefined : `${color(tone)}1f`, width: 1.5, dash, spanGaps: false,
        points: { show: gaps, size: 5 }, value: (_, value) => (value === null || value === undefined ? "–" : write(value)),
      })),
    ],
  };
}

function Chart({ title, at, lines, write, note, least }) {
  const data = [at, ...lines.map(({ values }) => values)];
  const box = useRef(null);
  const chart = useRef(null);
  const [drawn, setDrawn] = useState(0);
  const shape = lines.map(({ label }) => label).join();
  useEffect(() => {
    let gone = false;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => setDrawn((count) => count + 1);
    const fit = new ResizeObserver(() => chart.current?.setSize({ width: box.current.clientWidth, height: HEIGHT }));
    drawing().then((Plot) => {
      if (gone) return;
      chart.current = new Plot(options(box.current.clientWidth, lines, write, least), data, box.current);
      fit.observe(box.current);
    }, () => {});
    dark.addEventListener("change", redraw);
    return () => {
      gone = true;
      fit.disconnect();
      dark.removeEventListener("change", redraw);
      chart.current?.destroy();
      chart.current = null;
    };
  }, [shape, drawn]);
  useEffect(() => void (chart.current?.setData(data)));
  const said = lines.map(({ label, values }) => `${label}: ${write(values.at(-1) ?? 0)}`).join(", ");
  return html`<figure class="chart"><figcaption><b>${title}</b> <span class="hint">${note}</span></figcaption>
    <div ref=${box} role="img" aria-label="${title}, the last hour by minute. Now ${said}."></div></figure>`;
}

/** Every minute of the last hour up to now, or since the node began, with those of the history in their places. */
function minutes(history, since) {
  const known = new Map(history.map((one) => [Date.parse(one.at) / 1000, one]));
  const now = Math.floor(Date.now() / 60_000) * 60;
  const count = Math.min(HOUR, Math.max(LEAST, Math.ceil((Date.now() - Date.parse(since)) / 60_000)));
  const at = Array.from({ length: count }, (_, place) => now - (count - 1 - place) * 60);
  return { at, each: (pick, none) => at.map((time) => (known.has(time) ? pick(known.get(time)) ?? none : none)) };
}

const tidy = (value) => (Number.isInteger(value) ? number(value) : "");

export function Charts() {
  const { data } = usePoll("stats", 10_000, false);
  const [name, setName] = useState(null);
  const queues = data?.queues ?? [];
  const queue = queues.find((one) => one.name === name) ?? queues[0];
  if (!queue) return null;
  const { at, each } = minutes(queue.history, data.since);
  const queued = each((one) => one.queued, null);
  queued[queued.length - 1] = queue.depth.queued;
  const { waiting, running } = queue;
  return html`<section aria-labelledby="hour">
    <div class="title"><h2 id="hour">The last hour</h2>
      ${queues.length > 1 && html`<label class="inline">of queue <select value=${queue.name} onChange=${(event) => setName(event.target.value)}>
        ${queues.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select></label>`}
      <span class="hint">as ${data.node} has seen it</span></div>
    <div class="charts">
      <${Chart} key="ended-${queue.name}" title="Ended" note="by minute, ${number(Math.round(queue.throughput * 10) / 10)} a second now"
        at=${at} least=${1} write=${tidy} lines=${[
          { label: "completed", tone: "completed", values: each((one) => one.completed, 0), gaps: false },
          { label: "failed", tone: "failed", values: each((one) => one.failed, 0), gaps: false },
          { label: "retried", tone: "cancelled", values: each((one) => one.retried, 0), dash: [4, 3], gaps: false },
        ]} />
      <${Chart} key="waits-${queue.name}" title="Waits" note=${waiting ? `p95 ${span(waiting.p95)}` : "nothing yet"} at=${at} least=${0.01} write=${span} lines=${[
          { label: "p50", tone: "running", values: each((one) => one.waiting?.p50, null) },
          { label: "p95", tone: "scheduled", values: each((one) => one.waiting?.p95, null), dash: [4, 3] },
        ]} />
      <${Chart} key="runs-${queue.name}" title="Runs" note=${running ? `p95 ${span(running.p95)}` : "nothing yet"} at=${at} least=${0.01} write=${span} lines=${[
          { label: "p50", tone: "running", values: each((one) => one.running?.p50, null) },
          { label: "p95", tone: "scheduled", values: each((one) => one.running?.p95, null), dash: [4, 3] },
        ]} />
      <${Chart} key="depth-${queue.name}" title="Queued" note="${number(queue.depth.queued)} now" at=${at} least=${1} write=${tidy} lines=${[
          { label: "queued", tone: "queued", values: queued }]} />
    </div>
  </section>`;
}
