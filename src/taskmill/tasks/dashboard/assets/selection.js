// What is done to many tasks: to those that are selected, or to all that pass the filters.

import { html, useState } from "./preact.js";
import { post } from "./api.js";
import { Do, number } from "./parts.js";

const AT_ONCE = 6; // requests

/** Do something to each task, some at once; those that are past it are left. Returns how many it was done to. */
export async function each(tasks, what) {
  const left = [...tasks];
  let count = 0;
  const some = async () => {
    for (let task = left.shift(); task; task = left.shift()) {
      try {
        await post(`tasks/${task.id}/${what}`);
        count += 1;
      } catch (error) {
        if (![404, 409, 410].includes(error.status)) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
  return count;
}

const FITS = { cancel: ["queued", "scheduled", "running"], retry: ["failed", "cancelled"] };
const WORDS = { cancel: ["Cancel", "cancelled"], retry: ["Run again", "to run again"] };

/** What can be done to all that pass the filters: first it is counted, then asked for again. */
function AllOf({ filters, wanted, done }) {
  const [asked, setAsked] = useState(null); // what, and how many
  const count = (what) => async () => {
    const { count } = await post(`tasks/${what}`, { ...filters, dry_run: true });
    setAsked({ what, count });
  };
  if (asked === null) {
    return wanted.map((what) => html`<${Do} key=${what} label="${WORDS[what][0]} all that match…" run=${count(what)} />`);
  }
  const { what, count: number_ } = asked;
  return html`<span>${number(number_)} would be ${WORDS[what][1]}.</span>
    <${Do} label=${WORDS[what][0]} kind=${what === "cancel" ? "bad" : "main"} disabled=${number_ === 0}
      run=${() => post(`tasks/${what}`, filters)} done=${() => (setAsked(null), done())} />
    <button type="button" onClick=${() => setAsked(null)}>Leave it</button>`;
}

export function Selection({ filters, selected, clear, done }) {
  const filtered = Object.keys(filters).length > 0;
  const wanted = Object.keys(FITS).filter((what) => filtered && (!filters.status || FITS[what].includes(filters.status)));
  if (selected.length === 0 && wanted.length === 0) return null;
  const over = (what) => () => each(selected, what);
  const after = () => {
    clear();
    done();
  };
  return html`<div class="selection" role="group" aria-label="Do to many">
    ${selected.length > 0
      ? html`<b>${number(selected.length)} selected</b>
        <${Do} label="Run again" run=${over("retry")} done=${after} />
        <${Do} label="Cancel" kind="bad" run=${over("cancel")} done=${after} />
        <button type="button" onClick=${clear}>Clear</button>`
      : html`<${AllOf} key=${JSON.stringify(filters)} filters=${filters} wanted=${wanted} done=${after} />`}
  </div>`;
}
