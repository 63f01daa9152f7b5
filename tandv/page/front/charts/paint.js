// A scene on a canvas or, through the same pen, in an SVG.
import { faded } from '../colour.js';
import { raster } from '../pen.js';

/** @typedef {import('../svg.js').Pen} Pen */
/** @typedef {import('./types').Item} Item */
/** @typedef {import('./types').Scene} Scene */
/** Pixels of a picture in a file, for each of the page. */
const IN_FILE = 2;
const CHART_FONT = 'system-ui, "Segoe UI", "DejaVu Sans", sans-serif';

/** @param {Pen} pen @param {Scene} scene @param {number} [dx] @param {number} [dy] where its corner stands */
export function paintScene(pen, scene, dx = 0, dy = 0) {
  paintItems(pen, scene.under, dx, dy);
  paintInside(pen, scene, scene.inside, dx, dy);
  paintItems(pen, scene.over, dx, dy);
}

/** Items cut off at the scene's box. @param {Pen} pen @param {Scene} scene @param {Item[]} items @param {number} [dx] @param {number} [dy] */
export function paintInside(pen, { box }, items, dx = 0, dy = 0) {
  pen.save();
  pen.beginPath();
  pen.rect(box.x + dx, box.y + dy, box.w, box.h);
  pen.clip();
  paintItems(pen, items, dx, dy);
  pen.restore();
}

/** @param {Pen} pen @param {Item[]} items @param {number} [dx] @param {number} [dy] */
export function paintItems(pen, items, dx = 0, dy = 0) {
  for (const item of items) {
    if (item.kind === 'rect') {
      pen.fillStyle = tinted(item.fill, item.alpha);
      pen.fillRect(item.x + dx, item.y + dy, item.w, item.h);
    } else if (item.kind === 'text') {
      pen.fillStyle = item.fill;
      pen.font = `${item.bold ? '600 ' : ''}${item.size}px ${CHART_FONT}`;
      pen.textAlign = item.align ?? 'left';
      pen.textBaseline = 'middle';
      pen.fillText(item.text, item.x + dx, item.y + dy);
    } else if (item.kind === 'raster') {
      const size = pen instanceof CanvasRenderingContext2D ? pen.getTransform().a : IN_FILE;
      raster(pen, { ...item, x: item.x + dx, y: item.y + dy }, size, (pixels, w, h) => item.fill(pixels, w, h, size));
    } else if (item.kind === 'bars') paintBars(pen, item, dx, dy);
    else paintPath(pen, item, dx, dy);
  }
}

/** On a canvas rectangles are several times as quick as a path of them; in a file one path is much shorter. @param {Pen} pen @param {import('./types').Bars} bars @param {number} dx @param {number} dy */
function paintBars(pen, { columns, width, fill, alpha }, dx, dy) {
  const vector = !('canvas' in pen);
  pen.fillStyle = tinted(fill, alpha);
  pen.beginPath();
  for (let k = 0; k < columns.length; k += 3) {
    const x = columns[k] + dx, y = columns[k + 1] + dy, height = columns[k + 2] - columns[k + 1];
    if (vector) pen.rect(x, y, width, height); else pen.fillRect(x, y, width, height);
  }
  if (vector) pen.fill();
}

/** @param {string} colour @param {number} [alpha] */
const tinted = (colour, alpha) => (alpha === undefined ? colour : faded(colour, alpha));

/** @param {Pen} pen @param {import('./types').Path} path @param {number} dx @param {number} dy */
function paintPath(pen, { points, stroke, width = 1, dash = [], fill, alpha }, dx, dy) {
  pen.beginPath();
  let down = false;
  for (let k = 0; k < points.length; k += 2) {
    const x = points[k] + dx, y = points[k + 1] + dy;
    if (x !== x || y !== y) { down = false; continue; }
    if (down) pen.lineTo(x, y); else pen.moveTo(x, y);
    down = true;
  }
  if (fill) { pen.fillStyle = tinted(fill, alpha); pen.fill(); }
  if (!stroke) return;
  pen.strokeStyle = tinted(stroke, alpha);
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.stroke();
  pen.setLineDash([]);
}

const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((k) => [Math.cos((k * Math.PI) / 4), Math.sin((k * Math.PI) / 4)]);
/** Dots as one path. @param {ArrayLike<number>} points x0, y0, x1, y1, … @param {number} radius @param {string} fill @param {string} [stroke] @returns {import('./types').Path} */
export function dotsPath(points, radius, fill, stroke) {
  const out = [];
  for (let k = 0; k < points.length; k += 2) {
    for (const [cos, sin] of CORNERS) out.push(points[k] + radius * cos, points[k + 1] + radius * sin);
    out.push(NaN, NaN);
  }
  return { kind: 'path', points: out, fill, stroke, width: 1.2 };
}
