// Keys of the charts, where none is expanded.
import { nearestPlace, stepsOf } from './curves.js';

const FAR_STEPS = 10, LINE = 120;  // steps with shift; pixels of an arrow

/** @param {import('./types').Board} board @param {HTMLElement} el what scrolls @param {{open: () => void}} chooser @returns {Record<string, (e: KeyboardEvent) => void>} */
export function keysOfCharts(board, el, chooser) {
  const scroll = (/** @type {number} */ by) => () => el.scrollBy({ top: by });
  const page = (/** @type {number} */ by) => () => el.scrollBy({ top: 0.9 * by * el.clientHeight });
  return {
    ...stepKeys(board, () => { const { runs, visible } = board.charted(); return stepsOf(visible.map((r) => runs[r])); }),
    '/': () => chooser.open(), 0: () => board.zoom(null, null),
    ArrowUp: scroll(-LINE), ArrowDown: scroll(LINE), PageUp: page(-1), PageDown: page(1), ' ': page(1),
  };
}

/** Keys that move the cursor among some steps. @param {import('./types').Board} board @param {() => number[]} among @returns {Record<string, (e: KeyboardEvent) => void>} */
export function stepKeys(board, among) {
  const move = (/** @type {number} */ by) => {
    const steps = among(), now = board.cursor(), at = now === null ? steps.length - 1 : nearestPlace(steps, now);
    if (steps.length) board.moveTo(steps[Math.min(Math.max(at + by, 0), steps.length - 1)]);
  };
  const far = (/** @type {KeyboardEvent} */ e) => (e.shiftKey ? FAR_STEPS : 1);
  return { ArrowLeft: (e) => move(-far(e)), ArrowRight: (e) => move(far(e)), Home: () => move(-Infinity), End: () => move(Infinity) };
}
