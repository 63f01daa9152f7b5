// What a change of the state, of the run or of the connection sets going.
import { partOf } from './fetching.js';
import { kept } from './mouse.js';
import { ConnectionLost } from './source.js';
import { defaults, settled } from './state.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').View} View */
/** @typedef {import('./types').Meta} Meta */

/** What belongs to one run and must not be shown of another. */
const NOTHING = { heat: null, map: null, lines: null, at: null, firsts: null, casts: null, findings: null, pin: null, other: null, otherHeat: null, otherLines: null };

/** The zoom that goes on with the newest step: its size stays. @param {Ctx} ctx @returns {Partial<View>} */
export function atTheEnd(ctx) {
  const { steps } = ctx.meta, n = steps.length, { from, to } = ctx.state.view, { a, b } = ctx.span(), size = Math.min(n, b - a);
  return { step: steps[n - 1], ...(to === null ? {} : from === null ? { to: null } : { from: steps[n - size], to: steps[n - 1] }) };
}

/**
 * @param {Ctx} ctx
 * @param {{drawing: ReturnType<typeof import('./drawing.js').drawing>, pages: ReturnType<typeof import('./fetching.js').fetching>, memory: ReturnType<typeof import('./remembering.js').remembering>,
 *   notes: ReturnType<typeof import('./notes.js').notesBar>, dress: () => void, moved: (changed: Set<keyof View>) => void, times: import('./types').Times}} page
 */
export function turns(ctx, { drawing, pages, memory, notes, dress, moved, times }) {
  const { state, source } = ctx;
  let open = 0, loading = 0, shownRun = state.view.run, lost = /** @type {string|null} */ (null);
  const remember = () => memory.remember(state.view, defaults(ctx.meta));
  const ask = async () => { if (drawing.onScreen()) await pages.all(); };

  /** @param {Set<keyof View>} changed */
  async function turn(changed) {
    const t0 = performance.now(), has = (/** @type {(keyof View)[]} */ ...keys) => keys.some((k) => changed.has(k));
    moved(changed);
    remember();
    if (has('theme')) { dress(); drawing.all(); }
    if (has('run', 'phase', 'rank')) { await changeRun(); return; }
    if (has('other')) ctx.data.otherMeta = null;
    if (has('view', 'other', 'compare')) { drawing.arrange(); await drawing.fitted(); }
    if (has('view')) { await ask(); drawing.all(); return; }
    if (!drawing.onScreen()) { drawing.all(); return; }
    const answered = pages.changed(changed);
    drawing.changed(has);
    await answered;
    requestAnimationFrame(() => setTimeout(() => kept(times.clicks, performance.now() - t0)));
  }
  /** Another run has other steps, layers and statistics: they come first. */
  async function changeRun() {
    const mine = ++loading;
    try {
      const next = await source.ask({ kind: 'meta', ...partOf(state.view) }, state.view.run);
      if (mine !== loading) return;
      const fit = settled(state.view, next);
      ctx.meta = next;
      shownRun = state.view.run;
      notes.put('address', fit.notes);
      Object.assign(state.view, fit.view);
      Object.assign(ctx.data, NOTHING);
      remember();
      drawing.all();
      await ask();
    } catch (e) {
      const words = e instanceof Error ? e.message : String(e);
      if (e instanceof ConnectionLost) gone(words);
      else { notes.say(words); state.set({ run: shownRun, phase: '', rank: '' }); }
    }
  }
  /** @param {string} sentence */
  function gone(sentence) {
    lost = sentence;
    notes.put('lost', [`${sentence.replace(/[.]$/, '')}. What was read before is shown; the page goes on by itself when there is an answer.`]);
    drawing.all();
  }
  state.on(async (_, changed) => { open++; try { await turn(changed); } finally { open--; } });
  return {
    busy: () => open > 0, lost: () => lost, gone, remember,
    /** New rows have come. @param {Meta} next @param {Meta|null} other */
    async newer(next, other) {
      ctx.meta = next;
      if (other) ctx.data.otherMeta = other;
      if (next.steps.length && state.view.follow) Object.assign(state.view, atTheEnd(ctx));
      else if (state.view.step === null) Object.assign(state.view, settled(state.view, next).view);
      remember();
      drawing.all();
      await ask();
    },
    back() { lost = null; notes.put('lost', []); notes.say('the connection is back'); drawing.all(); void ask(); },
    /** Somebody gave the page another address. @param {Partial<View>} patch @param {string[]} said */
    address(patch, said) {
      const wanted = { ...defaults(ctx.meta), ...patch }, elsewhere = wanted.run !== state.view.run && wanted.run < ctx.meta.runs.length, fit = settled(wanted, ctx.meta);
      notes.put('address', elsewhere ? said : [...said, ...fit.notes]);
      state.set(elsewhere ? wanted : fit.view);
    },
  };
}
