// The curves and transitions of all runs, asked for again when there are newer ones.
import { runOfCurves } from './curves.js';

/** @typedef {import('./types').Run} Run */
const AGAIN = 700;  // milliseconds until transitions that are being looked for are asked for again

/** @param {import('../types').Ctx} ctx @param {() => void} changed is called when there is something new */
export function readingOf(ctx, changed) {
  /** @type {{runs: Run[], rule: string, notes: string[], problem: string, answered: boolean}} */
  const read = { runs: [], rule: '', notes: [], problem: '', answered: false };
  /** @type {number | string | null} */ let asked = null;
  /** @param {'curves'|'transitions'} kind */
  const ofAll = (kind) => Promise.all(ctx.meta.runs.map((_, r) => ctx.source.ask({ kind }, r)));

  /** What there is of transitions. */
  const found = () => JSON.stringify([read.runs.map((run) => run.transitions), read.rule, read.notes]);

  /** @param {number | string} version */
  async function ask(version) {
    const answers = /** @type {import('../types').Curves[]} */ (await ofAll('curves'));
    if (version !== asked) return;
    const before = read.runs;
    read.runs = answers.map((answer, r) => Object.assign(runOfCurves(ctx.meta.runs[r], answer), { transitions: before[r]?.transitions ?? [] }));
    read.answered = true;
    read.problem = '';
    changed();
    await askForTransitions(version);
  }
  /** Transitions come after the curves, since they may have to be found first. @param {number | string} version @returns {Promise<void>} */
  async function askForTransitions(version) {
    const answers = /** @type {import('../types').Transitions[]} */ (await ofAll('transitions'));
    if (version !== asked) return;
    const before = found();
    answers.forEach((one, r) => { read.runs[r].transitions = one.found; });
    read.rule = answers.find((one) => one.rule)?.rule ?? '';
    read.notes = answers.flatMap((one) => (one.note ? [one.note] : []));
    if (found() !== before) changed();
    if (answers.some((one) => one.ready === false)) setTimeout(() => { if (version === asked) askForTransitions(version).catch(failed); }, AGAIN);
  }
  /** @param {unknown} error */
  function failed(error) {
    read.problem = `The curves cannot be read: ${error instanceof Error ? error.message : error}`;
    asked = null;
    changed();
  }
  return {
    read,
    /** Ask, unless what there is has been asked for. */
    refresh() {
      if (asked === ctx.meta.version) return;
      asked = ctx.meta.version;
      ask(asked).catch(failed);
    },
  };
}
