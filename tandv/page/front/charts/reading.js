// The curves and transitions of all runs, asked for again when there are newer ones.
import { ConnectionLost } from '../source.js';
import { runOfCurves } from './curves.js';

/** @typedef {import('./types').Run} Run */
const AGAIN = 700, WATCH = 2000;  // milliseconds until transitions that are being looked for are asked for again, and whether other runs have gone on

/** @param {import('../types').Ctx} ctx @param {() => void} changed is called when there is something new @param {() => boolean} seen whether the charts are shown */
export function readingOf(ctx, changed, seen) {
  /** @type {{runs: Run[], rule: string, notes: string[], problem: string, answered: boolean}} */
  const read = { runs: [], rule: '', notes: [], problem: '', answered: false };
  /** @type {number | string | null} */ let asked = null;
  let watching = 0, versions = '';
  const several = () => ctx.source.live && ctx.meta.runs.length > 1;
  /** @param {'curves'|'transitions'} kind */
  const ofAll = (kind) => Promise.all(ctx.meta.runs.map((_, r) => ctx.source.ask({ kind }, r)));
  const versionsOfAll = async () => (several() ? (await Promise.all(ctx.meta.runs.map((_, r) => ctx.source.ask({ kind: 'meta' }, r)))).map((meta) => meta.version).join(' ') : '');
  /** What there is of transitions. */
  const found = () => JSON.stringify([read.runs.map((run) => run.transitions), read.rule, read.notes]);

  /** @param {number | string} version */
  async function ask(version) {
    const [now, answers] = await Promise.all([versionsOfAll(), /** @type {Promise<import('../types').Curves[]>} */ (ofAll('curves'))]);
    if (version !== asked) return;
    versions = now;
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
  /** What was read stays; that nobody answers is said by the page, and when it is over. @param {unknown} error */
  function failed(error) {
    const words = error instanceof Error ? error.message : String(error);
    asked = null;
    if (!read.answered) read.problem = `The curves cannot be read: ${words}`;
    else if (!(error instanceof ConnectionLost)) read.notes = [`what is new cannot be read: ${words}`];
    changed();
  }
  /** Look whether runs have gone on beside the one that is shown, which the page looks after. */
  function watch() {
    if (watching || !several()) return;
    watching = window.setTimeout(async () => {
      try {
        if (!document.hidden && asked !== null && (await versionsOfAll()) !== versions) await ask(asked);
      } catch (error) {
        failed(error);
      } finally {
        watching = 0;
        if (seen()) watch();
      }
    }, WATCH);
  }
  return {
    read,
    /** Ask, unless what there is has been asked for. */
    refresh() {
      watch();
      if (asked === ctx.meta.version) return;
      asked = ctx.meta.version;
      ask(asked).catch(failed);
    },
  };
}
