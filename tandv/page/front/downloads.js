// PNG, SVG and CSV of a panel, into the browser's downloads.
import { csvText } from './csv.js';
import { h } from './dom.js';
import { FONT, cursorLines } from './frame.js';
import { svgPen } from './svg.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').Panel} Panel */
/** @typedef {import('./types').View} View */
/** @typedef {import('./svg.js').Pen} Pen */

export const TITLE_HEIGHT = 38;  // pixels above a picture for its title
const ALL_LAYERS = '.heat, .otherHeat, .profile';  // panels that are not about the chosen layer
const SCALE = 2;  // pixels of a PNG in one of the page

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

/** What a file shows: its title, a line below it, and a picture of a size in CSS pixels. @typedef {{title: string, line: string, w: number, h: number, paint: (g: Pen, size: number) => void}} Picture */

/** Buttons of all panels. @param {Ctx} ctx @param {{el: HTMLElement, table: () => import('./csv.js').Table|null, picture: () => Picture, asked: () => View|null}} formats the table of formats */
export function saving(ctx, formats) {
  for (const p of Object.values(ctx.panels)) {
    const { file } = p;
    const name = (/** @type {View} */ v) => fileName(ctx.meta.name, file?.name ?? '', v.tt, p.el.matches(ALL_LAYERS) ? '' : v.layer, v.metric);
    if (file) buttons(ctx, p.save, file.asked, name, (v) => pictureOf(ctx, p, v), p.dpr, () => file.table());
  }
  const save = formats.el.querySelector('.save');
  if (save) buttons(ctx, save, formats.asked, (v) => fileName(ctx.meta.name, 'formats', v.tt, v.layer), formats.picture, () => 1, formats.table);
}
/**
 * Buttons that save what is drawn, named by what that was asked for.
 * @param {Ctx} ctx @param {Element} to @param {() => View|null} asked @param {(asked: View) => string} name @param {(asked: View) => Picture} of
 * @param {() => number} dpr @param {() => import('./csv.js').Table|null} table
 */
function buttons(ctx, to, asked, name, of, dpr, table) {
  const drawn = (/** @type {(v: View) => unknown} */ save) => () => { const v = asked(); if (v) void save(v); else ctx.say('there is nothing to save yet'); };
  to.append(saveButton('PNG', 'save as a picture', drawn(async (v) => { const file = `${name(v)}.png`; saveFile(await png(ctx, of(v), Math.max(SCALE, dpr())), file); })),
    saveButton('SVG', 'save as a drawing', drawn((v) => saveFile(new Blob([svg(ctx, of(v))], { type: 'image/svg+xml' }), `${name(v)}.svg`))),
    saveButton('CSV', 'save what is shown as a table', drawn((v) => csv(ctx, name(v), table()))));
}
/** @param {string} text @param {string} title @param {() => void} onclick */
const saveButton = (text, title, onclick) => h('button', { type: 'button', title, ariaLabel: `${title} (${text})`, onclick }, text);

/** @param {Ctx} ctx @param {string} name @param {import('./csv.js').Table|null} table */
function csv(ctx, name, table) {
  if (!table) { ctx.say('there is nothing to save yet'); return; }
  saveFile(new Blob([csvText(`${ctx.meta.name}: ${table.about}`, table.rows)], { type: 'text/csv;charset=utf-8' }), `${name}.csv`);
}

/** A panel as on the screen, the cursor included. @param {Ctx} ctx @param {Panel} p @param {View} asked @returns {Picture} */
function pictureOf(ctx, p, asked) {
  const of = p.el.matches(ALL_LAYERS) ? '' : `${asked.tt} of ${asked.layer}`, rows = p.el.matches('.heat, .otherHeat');
  return {
    title: `${ctx.meta.name} · ${p.title.textContent}`, line: [of, ...words(p)].filter(Boolean).join(' · '), w: p.inner.clientWidth, h: p.inner.clientHeight,
    paint(g, size) {
      const box = { ...p.box };
      p.box.y += TITLE_HEIGHT;
      try {
        p.file?.paint(g, size);
        if (!p.el.matches('.histogram, .profile')) cursorLines(g, p.box, { ...ctx.lines(p.box, rows), hoverX: null, hoverY: null }, ctx.look);
      } finally { Object.assign(p.box, box); }
    },
  };
}
/** @param {Ctx} ctx @param {Picture} of @param {Pen} g @param {number} size pixels in one of the page */
function draw(ctx, of, g, size) {
  const width = (/** @type {string} */ t) => g.measureText(t).width;
  g.fillStyle = ctx.look.panel; g.fillRect(0, 0, of.w, of.h + TITLE_HEIGHT);
  g.textAlign = 'left'; g.textBaseline = 'middle';
  g.font = `600 12px ${FONT.slice(5)}`; g.fillStyle = ctx.look.ink;
  g.fillText(shortened(of.title, of.w - 16, width), 8, TITLE_HEIGHT / 4 + 2);
  g.font = FONT; g.fillStyle = ctx.look.muted;
  g.fillText(shortened(of.line, of.w - 16, width), 8, (3 * TITLE_HEIGHT) / 4);
  g.lineWidth = 1;
  of.paint(g, size);
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
/** @param {Ctx} ctx @param {Picture} of @param {number} size @returns {Promise<Blob>} */
function png(ctx, of, size) {
  const canvas = h('canvas', { width: Math.round(of.w * size), height: Math.round((of.h + TITLE_HEIGHT) * size) });
  const g = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  g.scale(size, size);
  draw(ctx, of, g, size);
  return new Promise((done, fail) => canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error(`a picture of ${canvas.width} × ${canvas.height} pixels could not be made`))), 'image/png'));
}
/** @param {Ctx} ctx @param {Picture} of */
function svg(ctx, of) {
  const g = /** @type {CanvasRenderingContext2D} */ (h('canvas').getContext('2d'));
  const pen = svgPen(of.w, of.h + TITLE_HEIGHT, (font, text) => { g.font = font; return g.measureText(text).width; });
  draw(ctx, of, pen, SCALE);
  return pen.text();
}
