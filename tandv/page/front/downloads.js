// PNG, SVG and CSV of a panel, into the browser's downloads.
import { csvText } from './csv.js';
import { h } from './dom.js';
import { FONT, cursorLines } from './frame.js';
import { short } from './numbers.js';
import { svgPen } from './svg.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').Panel} Panel */
/** @typedef {import('./svg.js').Pen} Pen */

const TITLE_HEIGHT = 38, SCALE = 2;  // pixels above a picture for its title; pixels of a PNG in one of the page

/** @param {Blob} blob @param {string} name */
export function saveFile(blob, name) {
  const link = h('a', { href: URL.createObjectURL(blob), download: name, hidden: true });
  document.body.append(link);  // some browsers follow only links of the document
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
/** A name that every file system takes. @param {string[]} parts */
export const fileName = (...parts) => parts.filter(Boolean).join('-').replace(/[^\p{L}\p{N}._-]+/gu, '_').replace(/^[.]+/, '').slice(0, 120);

/** Buttons of all panels. @param {Ctx} ctx @param {{el: HTMLElement, table: () => import('./csv.js').Table|null}} [formats] the table of formats */
export function saving(ctx, formats) {
  for (const p of Object.values(ctx.panels)) {
    const file = p.file;
    if (!file) continue;
    const name = () => fileName(ctx.meta.name, file.name, ctx.state.view.tt, file.name === 'layers' ? '' : ctx.state.view.layer, ctx.state.view.metric);
    p.save.append(saveButton('PNG', 'save as a picture', async () => saveFile(await png(ctx, p), `${name()}.png`)), saveButton('SVG', 'save as a drawing', () => saveFile(new Blob([svg(ctx, p)], { type: 'image/svg+xml' }), `${name()}.svg`)),
      saveButton('CSV', 'save what is shown as a table', () => csv(ctx, name(), file.table())));
  }
  formats?.el.querySelector('.save')?.append(saveButton('CSV', 'save as a table', () => csv(ctx, fileName(ctx.meta.name, 'formats', ctx.state.view.tt, ctx.state.view.layer), formats.table())));
}
/** @param {string} text @param {string} title @param {() => void} onclick */
const saveButton = (text, title, onclick) => h('button', { type: 'button', title, ariaLabel: `${title} (${text})`, onclick }, text);

/** @param {Ctx} ctx @param {string} name @param {import('./csv.js').Table|null} table */
function csv(ctx, name, table) {
  if (!table) { ctx.say('there is nothing to save yet'); return; }
  saveFile(new Blob([csvText(`${ctx.meta.name}: ${table.about}`, table.rows)], { type: 'text/csv;charset=utf-8' }), `${name}.csv`);
}

/** The panel with its title, as on the screen, the cursor included. @param {Ctx} ctx @param {Panel} p @param {Pen} g @param {number} size pixels in one of the page */
function picture(ctx, p, g, size) {
  const box = { ...p.box }, look = ctx.look, w = p.inner.clientWidth, width = (/** @type {string} */ t) => g.measureText(t).width;
  g.fillStyle = look.panel; g.fillRect(0, 0, w, p.inner.clientHeight + TITLE_HEIGHT);
  g.textAlign = 'left'; g.textBaseline = 'middle';
  g.font = `600 12px ${FONT.slice(5)}`; g.fillStyle = look.ink;
  g.fillText(shortened(`${ctx.meta.name} · ${p.title.textContent}`, w - 16, width), 8, TITLE_HEIGHT / 4 + 2);
  g.font = FONT; g.fillStyle = look.muted;
  const of = p.el.matches('.heat, .otherHeat, .profile') ? '' : `${ctx.state.view.tt} of ${ctx.state.view.layer}`;
  g.fillText(shortened([of, ...words(p)].filter(Boolean).join(' · '), w - 16, width), 8, (3 * TITLE_HEIGHT) / 4);
  p.box.y += TITLE_HEIGHT;
  try {
    g.lineWidth = 1;
    p.file?.paint(g, size);
    if (!p.el.matches('.histogram, .profile')) cursorLines(g, p.box, { ...ctx.lines(p.box, p.el.matches('.heat, .otherHeat')), hoverX: null, hoverY: null }, look);
  } finally { Object.assign(p.box, box); }
}
/** What stands beside the title, the meaning of marks included; of curves, their names and values. @param {Panel} p @returns {string[]} */
function words(p) {
  const chips = Array.from(p.more.querySelectorAll('.chip[aria-pressed=true]:not(.log)'), (chip) => chip.textContent ?? '');
  if (p.more.querySelector('.chips')) return chips;
  return Array.from(p.more.childNodes).flatMap((node) => (node instanceof Element && node.matches('.swatches')
    ? Array.from(node.children, (mark) => `${mark.querySelector('i')?.dataset.sign ?? ''} ${mark.textContent}`) : [node.textContent ?? '']));
}
/** @param {string} text @param {number} width @param {(text: string) => number} measure */
function shortened(text, width, measure) {
  let out = text;
  while (out.length > 1 && measure(out) > width) out = `${out.slice(0, -2)}…`;
  return out;
}
/** @param {Ctx} ctx @param {Panel} p @returns {Promise<Blob>} */
export function png(ctx, p) {
  const size = Math.max(SCALE, p.dpr()), canvas = h('canvas', { width: Math.round(p.inner.clientWidth * size), height: Math.round((p.inner.clientHeight + TITLE_HEIGHT) * size) });
  const g = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  g.scale(size, size);
  picture(ctx, p, g, size);
  return new Promise((done, fail) => canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error(`the picture of ${short(canvas.width)} pixels could not be made`))), 'image/png'));
}
/** @param {Ctx} ctx @param {Panel} p */
export function svg(ctx, p) {
  const g = /** @type {CanvasRenderingContext2D} */ (h('canvas').getContext('2d'));
  const pen = svgPen(p.inner.clientWidth, p.inner.clientHeight + TITLE_HEIGHT, (font, text) => { g.font = font; return g.measureText(text).width; });
  picture(ctx, p, pen, SCALE);
  return pen.text();
}
