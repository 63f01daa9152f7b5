// Questions by turn: the newest turn of each wins, and while two are on their way only the newest of those that wait is asked.
import { ConnectionLost } from './source.js';

const MOST_AT_ONCE = 2;

/**
 * @template {string} Name
 * @param {{take: (what: Name) => void, fail: (what: Name, sentence: string) => void, lost: (sentence: string) => void}} page
 */
export function asking({ take, fail, lost }) {
  /** @type {Map<Name, {turn: number, away: number, next: {go: () => Promise<void>, done: () => void}|null}>} */ const turns = new Map();
  /** @param {Name} what */
  function turnOf(what) {
    const known = turns.get(what) ?? { turn: 0, away: 0, next: null };
    turns.set(what, known);
    return known;
  }
  return {
    /** Ask; keep the answer unless a newer turn has begun. @template A @param {Name} what @param {() => Promise<A>} ask @param {(answer: A|null) => void} keep gets null where there is no answer */
    want(what, ask, keep) {
      const of = turnOf(what), mine = ++of.turn;
      const go = async () => {
        of.away++;
        try {
          const answer = await ask();
          if (of.turn === mine) { keep(answer); take(what); }
        } catch (e) {
          const sentence = e instanceof Error ? e.message : String(e);
          if (e instanceof ConnectionLost) lost(sentence);
          else if (of.turn === mine) { keep(null); fail(what, sentence); }
        } finally {
          of.away--;
          const { next } = of;
          of.next = null;
          if (next) await next.go().finally(next.done);
        }
      };
      if (of.away < MOST_AT_ONCE) return go();
      of.next?.done();  // it will not be asked any more: who waits for it goes on
      return new Promise((done) => { of.next = { go, done: () => done(undefined) }; });
    },
    /** Nothing to ask: what is on its way is not taken. @template A @param {Name} what @param {(answer: A|null) => void} keep */
    drop(what, keep) {
      const of = turnOf(what);
      of.turn++;
      of.next?.done();
      of.next = null;
      keep(null); take(what);
    },
    /** @param {Name} what */
    busy: (what) => turnOf(what).away > 0,
    anyBusy: () => [...turns.values()].some((t) => t.away > 0),
  };
}
