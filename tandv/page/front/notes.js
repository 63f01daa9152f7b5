// Sentences that must be seen: what was left out, chosen or lost. The newest is also said to a screen reader.
import { h } from './dom.js';

const SHORTLY = 6000;  // milliseconds that a passing sentence stays

export function notesBar() {
  const list = h('ul', {}), heard = h('div', { className: 'unseen', ariaLive: 'polite', role: 'status' });
  const close = h('button', { type: 'button', title: 'hide these notes', ariaLabel: 'hide these notes', onclick: () => { for (const s of shown()) hidden.add(s); draw(); } }, '✕');
  const el = h('div', { className: 'notes', hidden: true }, list, close), passing = h('div', { className: 'passing', role: 'status', hidden: true });
  /** Sentences by where they come from. @type {Map<string, string[]>} */ const sentences = new Map();
  /** @type {Set<string>} */ const hidden = new Set();
  let timer = 0, drawn = '';
  const shown = () => [...new Set([...sentences.values()].flat())].filter((s) => !hidden.has(s));
  function draw() {
    const now = shown(), text = now.join('\n');
    if (text === drawn) return;
    drawn = text;
    list.replaceChildren(...now.map((s) => h('li', {}, s)));
    el.hidden = !now.length;
    el.classList.toggle('alarm', !!sentences.get('lost')?.length);
  }
  return {
    el, heard, passing,
    /** Replace the sentences of one origin. @param {string} origin @param {string[]} now */
    put(origin, now) {
      const before = sentences.get(origin) ?? [];
      sentences.set(origin, now);
      if (now.some((s) => !before.includes(s))) heard.textContent = now.join('. ');
      if (origin === 'lost') for (const s of before) hidden.delete(s);
      draw();
    },
    /** A sentence that passes; it lies over the page, which keeps its place. @param {string} sentence */
    say(sentence) {
      passing.textContent = sentence;
      passing.hidden = false;
      clearTimeout(timer);
      timer = window.setTimeout(() => { passing.hidden = true; }, SHORTLY);
    },
  };
}
