// A picture of things and arrows: in columns by what each needs, as an SVG.

import { html } from "./preact.js";

const HEIGHT = 40;
const MOST = { title: 24, note: 28 }; // characters
const GAP = { x: 46, y: 14 };
const SWEEPS = 6;
const NARROW = 2; // the height of a place that an arrow passes
const TIP = 5;
const SEEN = 600; // of a higher picture only a part is seen at once

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

/** How wide the boxes are, for the longest text in one. */
function width(nodes) {
  const longest = (name, size) => size * Math.min(MOST[name], Math.max(...nodes.map((node) => node[name].length)));
  return 38 + Math.round(Math.max(longest("title", 7.1), longest("note", 6)));
}

/**
 * Places for all, each near those that it is joined to, and for each arrow what it passes: its ends, and between them a
 * narrow place in each column, shared with the others to the same end, so that none runs behind a box.
 */
function placed(nodes, arrows, wide) {
  const ids = nodes.map((node) => node.id);
  const needs = new Map(ids.map((id) => [id, []]));
  for (const { source, target } of arrows) needs.get(source).push(target);
  const made = columns(ids, (id) => needs.get(id));
  const depth = new Map(made.flatMap((column, number) => column.map((id) => [id, number])));
  const joined = new Map(ids.map((id) => [id, []]));
  const ways = arrows.map(({ source, target }) => {
    const way = [source];
    for (let number = depth.get(source) - 1; number > depth.get(target); number--) {
      const between = `${target}@${number}`;
      if (!joined.has(between)) {
        joined.set(between, []);
        made[number].push(between);
      }
      way.push(between);
    }
    way.push(target);
    for (let step = 1; step < way.length; step++) {
      joined.get(way[step - 1]).push(way[step]);
      joined.get(way[step]).push(way[step - 1]);
    }
    return way;
  });
  order(made, joined);
  const tall = (id) => (needs.has(id) ? HEIGHT : NARROW);
  const lengths = made.map((column) => column.reduce((sum, id) => sum + tall(id) + GAP.y, -GAP.y));
  const height = Math.max(HEIGHT, ...lengths) + 2;
  const places = new Map();
  made.forEach((column, number) => {
    let y = height > SEEN ? 1 : (height - lengths[number]) / 2; // what is short begins where one looks first
    for (const id of column) {
      places.set(id, { x: 1 + number * (wide + GAP.x), y, middle: y + tall(id) / 2 });
      y += tall(id) + GAP.y;
    }
  });
  return { places, ways, width: made.length * (wide + GAP.x) - GAP.x + 2, height };
}

/** Put each column into the order in which its members are nearest to those that they are joined to. */
function order(made, joined) {
  const row = new Map();
  const number = (column) => column.forEach((id, place) => row.set(id, place - column.length / 2));
  made.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const column of sweep % 2 ? made.toReversed() : made) {
      const middle = (id) => {
        const others = joined.get(id);
        return others.length ? others.reduce((sum, other) => sum + row.get(other), 0) / others.length : row.get(id);
      };
      const wanted = new Map(column.map((id) => [id, middle(id)]));
      column.sort((one, other) => wanted.get(one) - wanted.get(other));
      number(column);
    }
  }
}

/** From the left of a box to the right of one that it needs, by what lies between. A tip takes some room at its end. */
function path(way, wide, onward) {
  let [x, y] = [way[0].x - (onward ? TIP : 0), way[0].middle];
  let drawn = `M${x},${y}`;
  way.slice(1).forEach((place, step) => {
    const last = step === way.length - 2;
    const [to, level] = [place.x + wide + (last && !onward ? TIP : 0), place.middle];
    const bend = Math.max(20, (x - to) / 2);
    drawn += ` C${x - bend},${y} ${to + bend},${level} ${to},${level}`;
    [x, y] = [place.x, level];
    if (!last) drawn += ` L${x},${y}`;
  });
  return drawn;
}

const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/**
 * `nodes` have `id`, `title`, `note`, `state` and perhaps `href`; `arrows` go from `source` to the `target` that it needs.
 * What is joined to `chosen` stands out, and `marked` is where one is. `onward` has arrows point at those that need.
 */
export function Graph({ nodes, arrows, label, chosen = null, choose, marked = null, onward = false }) {
  const wide = width(nodes);
  const { places, ways, width: whole, height } = placed(nodes, arrows, wide);
  const near = new Set(arrows.filter((one) => one.source === chosen || one.target === chosen).flatMap((one) => [one.source, one.target]));
  const faint = (id) => chosen !== null && id !== chosen && !near.has(id);
  return html`<div class="wide picture" tabindex="0" role="region" aria-label=${label}>
    <svg viewBox="0 0 ${whole} ${height}" width=${whole} height=${height}>
      <defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
        <path d="M0,0 L8,4 L0,8 z" /></marker></defs>
      ${arrows.map(({ source, target, field, attaches }, number) => html`
        <path key="${source} ${field} ${target}" d=${path(ways[number].map((id) => places.get(id)), wide, onward)}
          marker-end=${onward ? undefined : "url(#tip)"} marker-start=${onward ? "url(#tip)" : undefined}
          class="arrow ${attaches ? "attaches" : ""} ${chosen !== null && source !== chosen && target !== chosen ? "faint" : ""}" />`)}
      ${nodes.map(({ id, title, note, state, href }) => {
        const { x, y } = places.get(id);
        return html`<a key=${id} href=${href} class="node ${faint(id) ? "faint" : ""} ${id === chosen || id === marked ? "chosen" : ""}"
            onMouseEnter=${() => choose?.(id)} onMouseLeave=${() => choose?.(null)} onFocus=${() => choose?.(id)} onBlur=${() => choose?.(null)}>
          <title>${title}, ${note}, ${state}</title>
          <rect x=${x} y=${y} width=${wide} height=${HEIGHT} rx="7" />
          <circle class="status ${state}" cx=${x + 14} cy=${y + 15} r="4" />
          <text x=${x + 25} y=${y + 19}>${cut(title, MOST.title)}</text>
          <text class="note" x=${x + 25} y=${y + 33}>${cut(note, MOST.note)}</text>
        </a>`;
      })}
    </svg>
  </div>`;
}
