// Tables and pictures of the charts, as files.
import { csvCell } from '../csv.js';
import { svgPen } from '../svg.js';
import { fileName, saveFile } from '../downloads.js';
import { h } from '../dom.js';
import { stepsOf } from './curves.js';
import { chartOf, linesOf, overlayOf } from './scene.js';
import { mapNamed } from './map_cards.js';
import { mapOf } from './maps.js';
import { paintItems, paintScene } from './paint.js';

/** @typedef {import('./types').Charted} Charted */
/** @typedef {import('./types').Item} Item */
/** @typedef {import('./types').Line} Line */
/** @typedef {import('../svg.js').Pen} Pen */
const ACROSS = 3, HEAD = 26, LEGEND = 20, PIXELS = 2;
/** More charts than that make a picture that few programs open. */
export const MOST_CHARTS = 60;

/** A row for each step that any of the runs has; numbers as they are, so that they can be read back. @param {Charted} charted @param {string[]} metrics */
export function chartRows(charted, metrics) {
  const lines = metrics.flatMap((metric) => linesOf(metric, charted)), several = charted.runs.length > 1;
  const steps = stepsOf(lines.map((line) => line.curve));
  const at = lines.map(({ curve }) => new Map([...curve.steps].map((step, i) => [step, i])));
  const cell = (/** @type {Line} */ line, /** @type {number | undefined} */ i) => (i === undefined ? null : [line.curve.values[i], NaN, Infinity, -Infinity][line.curve.state[i]]);
  return [['step', ...lines.map((line) => (several ? `${line.metric} (${line.label})` : line.metric))], ...steps.map((step) => [step, ...lines.map((line, k) => cell(line, at[k].get(step)))])];
}

/** @param {Charted} charted @param {string} name @param {string[]} metrics */
export function saveChartCsv(charted, name, metrics) {
  saveFile(new Blob([`${chartRows(charted, metrics).map((row) => row.map(csvCell).join(',')).join('\n')}\n`], { type: 'text/csv;charset=utf-8' }), `${fileName(name)}.csv`);
}

/** Paint charts with their names, side by side, and a legend of the runs. @param {Pen} pen @param {Charted} charted @param {string[]} metrics @param {{w: number, h: number}} cell @param {import('./settings.js').Settings['layout']} layout */
function paintSheet(pen, charted, metrics, cell, layout) {
  const overlaid = layout === 'overlay';
  const { look } = charted, { w, h: height, legend } = sheetOf(charted, overlaid ? ['overlay'] : metrics, cell);
  pen.fillStyle = look.panel;
  pen.fillRect(0, 0, w, height);
  if (legend) {
    let x = 12;
    for (const r of charted.visible) {
      const [line] = charted.known.flatMap((metric) => linesOf(metric, charted).filter((one) => one.run === r)).slice(0, 1);
      if (!line) continue;
      paintItems(pen, [{ kind: 'path', points: [x, 12, x + 26, 12], stroke: overlaid ? look.ink : line.colour, width: 2.2, dash: line.dash }, { kind: 'text', x: x + 32, y: 12, text: line.label, fill: look.ink, size: 12 }]);
      x += 48 + 7 * line.label.length;
    }
  }
  (overlaid ? ['each metric from its smallest to its largest value'] : metrics).forEach((metric, i) => {
    const x = cell.w * (i % ACROSS), y = legend + cell.h * Math.floor(i / ACROSS), size = { w: cell.w, h: cell.h - HEAD, large: cell.w > 600 };
    const map = layout === 'layers' ? mapNamed(metric, charted) : null;
    paintItems(pen, [{ kind: 'text', x: x + 12, y: y + 15, text: map?.title ?? metric, fill: look.ink, size: 14, bold: true }]);
    paintScene(pen, (map ? mapOf(map.names, map.r, charted, size) : overlaid ? overlayOf(charted, size) : chartOf(metric, charted, size)).scene, x, y + HEAD);
  });
}

/** @param {Charted} charted @param {string[]} metrics @param {{w: number, h: number}} cell */
function sheetOf(charted, metrics, cell) {
  const legend = charted.runs.length > 1 ? LEGEND : 0;
  return { legend, w: cell.w * Math.min(ACROSS, metrics.length), h: legend + cell.h * Math.ceil(metrics.length / ACROSS) };
}

/** @param {'png'|'svg'} kind @param {Charted} charted @param {string} name @param {string[]} metrics @param {{w: number, h: number}} cell the size of a chart @param {import('./settings.js').Settings['layout']} [layout] */
export async function saveCharts(kind, charted, name, metrics, cell, layout = 'charts') {
  const shown = metrics.slice(0, MOST_CHARTS), { w, h: height } = sheetOf(charted, layout === 'overlay' ? ['overlay'] : shown, cell);
  const canvas = h('canvas', kind === 'png' ? { width: PIXELS * w, height: PIXELS * height } : {}), g = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  if (kind === 'svg') {
    const pen = svgPen(w, height, (font, text) => { g.font = font; return g.measureText(text).width; });
    paintSheet(pen, charted, shown, cell, layout);
    saveFile(new Blob([pen.text()], { type: 'image/svg+xml' }), `${fileName(name)}.svg`);
    return;
  }
  g.scale(PIXELS, PIXELS);
  paintSheet(g, charted, shown, cell, layout);
  canvas.toBlob((blob) => { if (blob) saveFile(blob, `${fileName(name)}.png`); }, 'image/png');
}
