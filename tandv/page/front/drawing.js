// Which part of the page is drawn when: at once what a change alone decides, the rest when its answer has come.
import { whole } from './numbers.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').View} View */
/** @typedef {import('./types').PanelName} PanelName */
/** @typedef {import('./types').Part} Part */
/** @typedef {import('./asked.js').Ask} Ask */
/** @typedef {{screen: HTMLElement, head: Part, tree: Part, findings: Part, formats: Part, charts: Part, strip: Part, film: Part, words: Part}} Parts */

/** The panels that each answer is drawn in; the first one says its error. @type {Record<Ask, PanelName[]>} */
const DRAWN = {
  heat: ['heat', 'otherHeat', 'profile'], otherHeat: ['otherHeat', 'heat'], map: ['exponents', 'histogram'],
  lines: ['curves'], otherLines: ['curves'], curves: ['curves'], otherCurves: ['curves'], transitions: ['curves'],
  at: ['histogram', 'profile', 'exponents', 'curves'], pin: ['histogram', 'profile', 'exponents'], other: ['histogram', 'profile', 'exponents', 'curves'],
  firsts: [], casts: ['heat'], findings: ['heat'],
};
/** Without these answers a panel has no picture, and says why; the others add to one. */
const OWN = new Set(/** @type {Ask[]} */ (['heat', 'otherHeat', 'map', 'at']));
/** What of the state changes each panel's picture before any answer. @type {Record<PanelName, (keyof View)[]>} */
const SHOWS = {
  curves: ['step', 'from', 'to'], heat: ['from', 'to', 'top', 'bottom'], otherHeat: ['from', 'to', 'top', 'bottom'],
  profile: ['top', 'bottom', 'format'], exponents: ['from', 'to', 'format'], histogram: ['format'],
};

/** @param {Ctx} ctx @param {Parts} parts @param {ReturnType<typeof import('./notes.js').notesBar>} notes */
export function drawing(ctx, parts, notes) {
  const { state, panels } = ctx, { screen, charts } = parts;
  const onScreen = () => ctx.meta.holds === 'log' && state.view.view === 'screen';
  const hovered = () => { for (const p of Object.values(panels)) p.hover(); };
  const lists = () => { parts.tree.draw(); parts.findings.draw(); };
  /** What is there at all. */
  function arrange() {
    screen.hidden = !onScreen(); charts.el.hidden = onScreen();
    panels.otherHeat.el.hidden = !(state.view.other >= 0 && state.view.compare === 'side');
    screen.classList.toggle('two', !panels.otherHeat.el.hidden);
    notes.put('run', ctx.meta.notes);
  }
  /** What of another run lies beyond the steps that are shown. */
  function beyond() {
    const { data: { otherMeta }, meta } = ctx, last = meta.steps.at(-1) ?? 0, theirs = otherMeta?.steps.at(-1) ?? 0;
    if (state.view.other < 0 || theirs <= last) return [];
    const name = meta.runs[state.view.other];
    return [`${name} goes on to step ${whole(theirs)}; the steps of ${meta.runs[state.view.run]} are shown, which ends at ${whole(last)}. Choose ${name} as the run to see the rest`];
  }
  /** @param {Ask} what @param {string|null} sentence */
  function say(what, sentence) {
    for (const name of DRAWN[what]) panels[name].draw();
    if (OWN.has(what)) panels[DRAWN[what][0]].wrong(sentence); else notes.put(what, sentence ? [sentence] : []);
  }
  return {
    onScreen, arrange, hovered,
    all() {
      arrange(); parts.head.draw();
      if (!onScreen()) { charts.draw(); return; }
      for (const p of Object.values(panels)) p.draw();
      lists();
      for (const part of [parts.formats, parts.strip, parts.film, parts.words]) part.draw();
    },
    /** Let panels take their sizes, before the first question asks for as many columns. */
    fitted: () => new Promise((done) => { requestAnimationFrame(() => { for (const p of Object.values(panels)) p.fit(); done(undefined); }); }),
    /** An answer has come. @param {Ask} what */
    take(what) {
      say(what, null);
      if (what === 'at') for (const part of [parts.formats, parts.head, parts.words]) part.draw();
      if (what === 'firsts' || what === 'findings') lists();
      if (what === 'other') notes.put('beyond', beyond());
      if (what === 'firsts' || what === 'curves') parts.strip.draw();
    },
    /** There is no answer. @param {Ask} what @param {string} sentence */
    fail: (what, sentence) => say(what, sentence),
    /** The state has changed. @param {(...keys: (keyof View)[]) => boolean} has */
    changed(has) {
      parts.head.draw();
      for (const [name, on] of Object.entries(SHOWS)) if (has(...on)) panels[/** @type {PanelName} */ (name)].draw();
      if (has('step', 'layer', 'pin', 'from', 'to')) { hovered(); parts.strip.draw(); parts.film.draw(); parts.words.draw(); }
      if (has('format', 'step', 'tt', 'scale', 'underflow', 'sqnr')) parts.formats.draw();
      lists();
    },
  };
}
