// How a page begins: what it waits for, and where it opens when nobody said where.
import { partOf } from './fetching.js';
import { ConnectionLost } from './source.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').View} View */

const PATIENCE_GROWS = [300, 600, 1200, 3000];  // milliseconds between two tries
/** @type {(keyof View)[]} */
const PLACE = ['tt', 'layer', 'step'];

/**
 * The first answer, waited for: a page may be opened before its server answers. A run, phase or rank that there is not is said, and left.
 * @param {import('./types').Source} source @param {{view: Partial<View>, notes: string[]}} wanted @param {(sentences: string[]) => void} say
 */
export async function firstMeta(source, wanted, say) {
  for (let tries = 0; ; tries++) {
    try {
      const meta = await source.ask({ kind: 'meta', ...partOf(wanted.view) }, wanted.view.run ?? 0);
      say([]);
      return meta;
    } catch (e) {
      const words = e instanceof Error ? e.message : String(e), { run, phase, rank, ...others } = wanted.view;
      if (!(e instanceof ConnectionLost) && (run || phase || rank)) { wanted.view = others; wanted.notes.push(words); continue; }
      say([words]);
      if (!source.live) throw e;
      await new Promise((done) => setTimeout(done, PATIENCE_GROWS[Math.min(tries, PATIENCE_GROWS.length - 1)]));
    }
  }
}

/** At the first infinity or NaN, which may be found only after the first picture. @param {Ctx} ctx @param {Partial<View>} wanted what the address says */
export function opening(ctx, wanted) {
  let open = !PLACE.some((k) => wanted[k] !== undefined && wanted[k] !== null && wanted[k] !== '') && !wanted.follow, moving = false;
  return {
    /** Whoever has moved is left where they are. @param {Set<keyof View>} changed */
    moved(changed) { if (!moving && PLACE.some((k) => changed.has(k))) open = false; },
    /** Findings have come. */
    found() {
      const { firsts } = ctx.data;
      if (!open || !firsts) return;
      const bad = firsts.found.find((f) => f.kind === 'nan' || f.kind === 'inf');
      if (firsts.ready || bad) open = false;
      if (!bad) return;
      moving = true;
      ctx.state.set({ tt: bad.tt, layer: bad.layer, step: bad.step });
      moving = false;
    },
  };
}
