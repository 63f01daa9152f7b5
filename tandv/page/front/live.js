// A run that goes on: ask every second whether it is newer, unless the source tells, and say when nobody answers.
import { partOf } from './fetching.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').Meta} Meta */

const RUNNING = 1000, AT_REST = 5000, LOST = 3000, UNREADY = 400;  // milliseconds between two questions

/**
 * @param {Ctx} ctx
 * @param {{newer: (meta: Meta, other: Meta|null) => Promise<unknown>, again: () => Promise<unknown>, lost: (sentence: string) => void, back: () => void, unready: () => boolean}} page
 *   `unready`: whether something is still being found out, which `again` asks for
 */
export function live(ctx, page) {
  let waiting = false, gone = false, next = 0, otherVersion = '';
  const { state, source } = ctx;
  const pause = () => (gone ? LOST : page.unready() ? UNREADY : ctx.meta.status === 'running' && !source.changes ? RUNNING : AT_REST);
  async function look() {
    if (waiting || document.hidden || !source.live) return;
    waiting = true;
    try {
      const { run, other } = state.view, part = partOf(state.view);
      const [meta, second] = await Promise.all([source.ask({ kind: 'meta', ...part }, run), other >= 0 ? source.ask({ kind: 'meta', ...part }, other) : null]);
      if (gone) { gone = false; page.back(); }
      const key = second ? `${other} ${second.version}` : '';
      const newer = meta.version !== ctx.meta.version || meta.status !== ctx.meta.status || (key !== otherVersion && otherVersion !== '' && key !== '');
      otherVersion = key;
      if (state.view.run !== run) return;
      if (newer) await page.newer(meta, second);
      else if (page.unready()) await page.again();
    } catch (e) {
      gone = true;
      page.lost(e instanceof Error ? e.message : String(e));
    } finally { waiting = false; }
  }
  function plan() { clearTimeout(next); if (!ended) next = window.setTimeout(async () => { await look(); plan(); }, pause()); }
  const again = async () => { if (!document.hidden && !ended) { await look(); plan(); } };
  let ended = false, deaf = () => {};
  if (source.live) {
    plan();
    document.addEventListener('visibilitychange', again);
    deaf = source.changes?.(again) ?? deaf;
  }
  return { end() { ended = true; clearTimeout(next); deaf(); document.removeEventListener('visibilitychange', again); }, lost: () => { gone = true; } };
}
