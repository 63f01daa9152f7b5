// What panels draw with on a screen and into a file alike, and the two things that a canvas lacks: pixels and hatching.
/** @typedef {import('./svg.js').Pen} Pen */
/** @typedef {import('./types').Box} Box */

export const HATCH = 6;  // pixels from one line of a hatching to the next

/**
 * Fill a box pixel by pixel at the target's own resolution, so that nothing is blurred.
 * @param {Pen} g @param {Box} b @param {number} size pixels of the target in one of the page @param {(pixels: Uint32Array, w: number, h: number) => void} fill
 */
export function raster(g, b, size, fill) {
  const w = Math.max(1, Math.round(b.w * size)), height = Math.max(1, Math.round(b.h * size));
  const canvas = document.createElement('canvas'), image = new ImageData(w, height);
  canvas.width = w; canvas.height = height;
  fill(new Uint32Array(image.data.buffer), w, height);
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d')).putImageData(image, 0, 0);
  g.drawImage(canvas, Math.round(b.x * size) / size, Math.round(b.y * size) / size, w / size, height / size);
}

/**
 * Lines across a box: "/" for NaN and what overflows, "\" for infinities and what goes to zero. They meet those of neighbouring boxes.
 * @param {Pen} g @param {Box} b @param {'/'|'\\'} way @param {string} colour @param {number} [gap] @param {number} [width]
 */
export function hatch(g, b, way, colour, gap = HATCH, width = 1.5) {
  if (b.w <= 0 || b.h <= 0) return;
  g.save();
  g.beginPath(); g.rect(b.x, b.y, b.w, b.h); g.clip();
  g.strokeStyle = colour; g.lineWidth = width;
  g.beginPath();
  const sign = way === '/' ? 1 : -1, base = way === '/' ? b.x + b.y : b.x - b.y - b.h, reach = b.w + b.h;
  for (let k = Math.ceil(base / gap) * gap; k <= base + reach; k += gap) {
    g.moveTo(k - sign * (b.y - 1), b.y - 1);
    g.lineTo(k - sign * (b.y + b.h + 1), b.y + b.h + 1);
  }
  g.stroke();
  g.restore();
}

/** A line. @param {Pen} g @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 */
export function stroke(g, x1, y1, x2, y2) { g.beginPath(); g.moveTo(x1, y1); g.lineTo(x2, y2); g.stroke(); }

/** Text on a patch of the panel, where lines and pixels lie below. @param {Pen} g @param {string} text @param {number} x the left of the text @param {number} y its middle @param {string} colour @param {string} under */
export function labelled(g, text, x, y, colour, under) {
  g.textAlign = 'left'; g.textBaseline = 'middle';
  g.fillStyle = under; g.fillRect(x - 3, y - 6.5, g.measureText(text).width + 6, 13);
  g.fillStyle = colour; g.fillText(text, x, y + 0.5);
}
