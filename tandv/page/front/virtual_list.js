// A list of rows of one height, of which only those in sight are elements: ten thousand cost what thirty do.
import { h } from './dom.js';

const SPARE = 6;  // rows kept above and below what is in sight

/** @param {{height: number, make: (i: number) => HTMLElement, props?: Record<string, unknown>}} what */
export function virtualList({ height, make, props = {} }) {
  const space = h('div', { className: 'space', role: 'presentation' }), el = h('div', { className: 'list', ...props }, space);
  let count = 0, from = 0, to = 0, top = 0, seen = 0;  // what is scrolled and how high it is, as last heard: asking would lay out the page anew
  function fill(force = false) {
    const first = Math.max(0, Math.floor(top / height) - SPARE), last = Math.min(count, Math.ceil((top + seen) / height) + SPARE);
    if (!force && first === from && last === to) return;
    from = first; to = last;
    space.replaceChildren(...Array.from({ length: Math.max(0, to - from) }, (_, k) => {
      const row = make(from + k);
      row.style.transform = `translateY(${(from + k) * height}px)`;
      return row;
    }));
  }
  let kept = -1;  // the row that was revealed, until somebody scrolls
  /** @param {number} i */
  function reveal(i) {
    kept = i;
    const y = i * height;
    if (!seen || i < 0 || (y >= top && y + height <= top + seen)) return;
    top = Math.max(0, Math.min(y - (seen - height) / 2, count * height - seen));
    el.scrollTop = top;
    fill();
  }
  el.addEventListener('scroll', () => { if (Math.abs(el.scrollTop - top) > 1) kept = -1; top = el.scrollTop; fill(); });
  new ResizeObserver(() => { seen = el.clientHeight; top = el.scrollTop; fill(); reveal(kept); }).observe(el);
  return {
    el,
    /** @param {number} n */
    show(n) { count = n; top = Math.max(0, Math.min(top, n * height - seen)); space.style.height = `${n * height}px`; fill(true); },
    /** Make one row anew, if it is an element. @param {number} i */
    renew(i) {
      if (i < from || i >= to) return;
      const row = make(i);
      row.style.transform = `translateY(${i * height}px)`;
      space.children[i - from].replaceWith(row);
    },
    /** Scroll a row into sight, into the middle where it was out of it. */
    reveal,
  };
}
