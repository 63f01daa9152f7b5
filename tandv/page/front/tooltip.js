// The read-out under the mouse, kept within the page.
import { h } from './dom.js';

const FROM_MOUSE = 14, MARGIN = 6;

/** @param {HTMLElement} root */
export function tooltip(root) {
  const el = h('div', { className: 'tip', hidden: true, ariaHidden: 'true' });
  return {
    el,
    /** @param {import('./types').Words} words @param {MouseEvent} [e] */
    show(words, e) {
      el.hidden = !words?.length;
      if (!words || !e || el.hidden) return;
      words.forEach((w, i) => {
        let line = el.children[i];
        if (!line) { line = h('div', { className: i ? '' : 'head' }); el.append(line); }
        if (line.textContent !== w) line.textContent = w;
      });
      while (el.children.length > words.length) el.lastChild?.remove();
      const r = root.getBoundingClientRect(), x = e.clientX - r.left, y = e.clientY - r.top, { offsetWidth: w, offsetHeight: height } = el;
      const left = x + FROM_MOUSE + w + MARGIN > r.width ? x - FROM_MOUSE - w : x + FROM_MOUSE, below = y + FROM_MOUSE + 4;
      el.style.transform = `translate(${Math.max(MARGIN, left)}px, ${below + height > r.height ? Math.max(MARGIN, y - height - FROM_MOUSE) : below}px)`;
    },
  };
}
