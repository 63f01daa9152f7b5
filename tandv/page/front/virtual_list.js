// A list of rows of one height, of which only those in sight are elements: ten thousand cost what thirty do.
import { h } from './dom.js';

const SPARE = 6;  // rows kept above and below what is in sight

/** @param {{height: number, make: (i: number) => HTMLElement, props?: Record<string, unknown>}} what */
export function virtualList({ height, make, props = {} }) {
  const space = h('div', { className: 'space', role: 'presentation' }), el = h('div', { className: 'list', ...props }, space);
  let count = 0, from = 0, to = 0;
  function fill(force = false) {
    const first = Math.max(0, Math.floor(el.scrollTop / height) - SPARE), last = Math.min(count, Math.ceil((el.scrollTop + el.clientHeight) / height) + SPARE);
    if (!force && first === from && last === to) return;
    from = first; to = last;
    space.replaceChildren(...Array.from({ length: Math.max(0, to - from) }, (_, k) => {
      const row = make(from + k);
      row.style.transform = `translateY(${(from + k) * height}px)`;
      return row;
    }));
  }
  el.addEventListener('scroll', () => fill());
  new ResizeObserver(() => fill()).observe(el);
  return {
    el,
    /** @param {number} n */
    show(n) { count = n; space.style.height = `${n * height}px`; fill(true); },
    /** Scroll a row into sight, into the middle where it was out of it. @param {number} i */
    reveal(i) {
      const top = i * height;
      if (top < el.scrollTop || top + height > el.scrollTop + el.clientHeight) { el.scrollTop = top - (el.clientHeight - height) / 2; fill(); }
    },
  };
}
