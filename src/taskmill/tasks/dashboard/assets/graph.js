// A picture of things and arrows: in columns by what each needs, as an SVG.

import { html } from "./preact.js";

const BOX = { width: 164, height: 40 };
const GAP = { x: 46, y: 14 };
const SWEEPS = 6;

/** How many steps each is from what needs nothing. A circle, should there be one, is cut where it is met again. */
function columns(ids, needs) {
  const depth = new Map();
  const visit = (id, path) => {
    if (depth.has(id)) return depth.get(id);
    if (path.has(id)) return 0;
    path.add(id);
    const found = Math.max(0, ...needs(id).map((other) => visit(other, path) + 1));
    path.delete(id);
    depth.set(id, found);
    return found;
  };
  for (const id of ids) visit(id, new Set());
  const made = [];
  for (const id of ids) (made[depth.get(id)] ??= []).push(id);
  return made.map((column) => column ?? []);
}

/** Places for all, each near those that it is joined to. */
function placed(nodes, arrows) {
  const ids = nodes.map((node) => node.id);
  const needs = new Map(ids.map((id) => [id, []]));
  const joined = new Map(ids.map((id) => [id, []]));
  for (const { source, target } of arrows) {
    needs.get(source).push(target);
    joined.get(source).push(target);
    joined.get(target).push(source);
  }
  const made = columns(ids, (id) => needs.get(id));
  const row = new Map();
  for (const column of made) column.forEach((id, place) => row.set(id, place - column.length / 2));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const column of sweep % 2 ? made.toReversed() : made) {
      const middle = (id) => {
        const others = joined.get(id);
        return others.length ? others.reduce((sum, other) => sum + row.get(other), 0) / others.length : row.get(id);
      };
      const wanted = new Map(column.map((id) => [id, middle(id)]));
      column.sort((one, other) => wanted.get(one) - wanted.get(other));
      column.forEach((id, place) => row.set(id, place - column.length / 2));
    }
  }
  const rows = Math.max(1, ...made.map((column) => column.length));
  const places = new Map();
  made.forEach((column, number) => column.forEach((id, place) => places.set(id, {
    x: 1 + number * (BOX.width + GAP.x),
    y: 1 + (place + (rows - column.length) / 2) * (BOX.height + GAP.y),
  })));
  return { places, width: made.length * (BOX.width + GAP.x) - GAP.x + 2, height: rows * (BOX.height + GAP.y) - GAP.y + 2 };
}

/** From the left of a box to the right of one that it needs, with the tip there; or `onward`, with the tip where it began. */
function curve(from, to, onward) {
  const [x1, y1] = [from.x - (onward ? 5 : 0), from.y + BOX.height / 2];
  const [x2, y2] = [to.x + BOX.width + (onward ? 0 : 5), to.y + BOX.height / 2];
  const bend = Math.max(24, (x1 - x2) / 2);
  const ends = [[`${x1},${y1}`, `${x1 - bend},${y1}`], [`${x2},${y2}`, `${x2 + bend},${y2}`]];
  const [[begin, leave], [end, arrive]] = onward ? ends.reverse() : ends;
  return `M${begin} C${leave} ${arrive} ${end}`;
}

const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/**
 * `nodes` have `id`, `title`, `note`, `state` and perhaps `href`; `arrows` go from `source` to the `target` that it needs.
 * What is joined to `chosen` stands out, and `marked` is where one is. `onward` has arrows point at those that need.
 */
export function Graph({ nodes, arrows, label, chosen = null, choose, marked = null, onward = false }) {
  const { places, width, height } = placed(nodes, arrows);
  const near = new Set(arrows.filter((one) => one.source === chosen || one.target === chosen).flatMap((one) => [one.source, one.target]));
  const faint = (id) => chosen !== null && id !== chosen && !near.has(id);
  return html`<div class="wide picture" tabindex="0" role="region" aria-label=${label}>
    <svg viewBox="0 0 ${width} ${height}" width=${width} height=${height}>
      <defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">
        <path d="M0,0 L8,4 L0,8 z" /></marker></defs>
      ${arrows.map(({ source, target, field, attaches }) => html`
        <path key="${source} ${field} ${target}" d=${curve(places.get(source), places.get(target), onward)} marker-end="url(#tip)"
          class="arrow ${attaches ? "attaches" : ""} ${chosen !== null && source !== chosen && target !== chosen ? "faint" : ""}" />`)}
      ${nodes.map(({ id, title, note, state, href }) => {
        const { x, y } = places.get(id);
        return html`<a key=${id} href=${href} class="node ${faint(id) ? "faint" : ""} ${id === chosen || id === marked ? "chosen" : ""}"
            onMouseEnter=${() => choose?.(id)} onMouseLeave=${() => choose?.(null)} onFocus=${() => choose?.(id)} onBlur=${() => choose?.(null)}>
          <title>${title}, ${note}, ${state}</title>
          <rect x=${x} y=${y} width=${BOX.width} height=${BOX.height} rx="7" />
          <circle class="status ${state}" cx=${x + 14} cy=${y + 15} r="4" />
          <text x=${x + 25} y=${y + 19}>${cut(title, 20)}</text>
          <text class="note" x=${x + 25} y=${y + 33}>${cut(note, 23)}</text>
        </a>`;
      })}
    </svg>
  </div>`;
}
