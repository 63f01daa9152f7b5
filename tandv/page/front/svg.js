// A canvas that writes SVG: text stays text, lines stay lines, only pixels of maps are embedded as a picture.

/**
 * What panels draw with: the part of a canvas' context that both a screen and a file have.
 * @typedef {Pick<CanvasRenderingContext2D, 'fillStyle'|'strokeStyle'|'lineWidth'|'font'|'textAlign'|'textBaseline'|'beginPath'|'moveTo'|'lineTo'|'closePath'|'stroke'|'fill'|
 *   'fillRect'|'strokeRect'|'fillText'|'measureText'|'setLineDash'|'save'|'restore'|'rect'|'clip'>
 *   & {drawImage: (image: HTMLCanvasElement, x: number, y: number, w: number, h: number) => void}} Pen
 */

/** @param {string} text */
const escaped = (text) => text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '');
const rounded = (/** @type {number} */ v) => +v.toFixed(2);
const ANCHORS = /** @type {Record<string, string>} */ ({ center: 'middle', right: 'end', end: 'end' });
const SHIFTS = /** @type {Record<string, number>} */ ({ middle: 0.35, top: 0.8, bottom: -0.2 });

/** A pen that collects SVG. @param {number} width @param {number} height in pixels @param {(font: string, text: string) => number} measure */
export function svgPen(width, height, measure) {
  /** @type {string[]} */ const out = [];
  /** @type {{fillStyle: string, strokeStyle: string, lineWidth: number, font: string, textAlign: CanvasTextAlign, textBaseline: CanvasTextBaseline, dash: number[], clip: string}} */
  let now = { fillStyle: '#000', strokeStyle: '#000', lineWidth: 1, font: '11px sans-serif', textAlign: 'left', textBaseline: 'alphabetic', dash: [], clip: '' };
  const saved = /** @type {(typeof now)[]} */ ([]);
  let path = '', clips = 0;
  const put = (/** @type {string} */ element) => { out.push(now.clip ? element.replace(' ', ` clip-path="url(#${now.clip})" `) : element); };
  const line = () => `stroke="${now.strokeStyle}" stroke-width="${now.lineWidth}"${now.dash.length ? ` stroke-dasharray="${now.dash.join(' ')}"` : ''}`;
  const rect = (/** @type {number[]} */ ...[x, y, w, h]) => `x="${rounded(x)}" y="${rounded(y)}" width="${rounded(w)}" height="${rounded(h)}"`;
  const pen = {
    beginPath() { path = ''; },
    moveTo(/** @type {number} */ x, /** @type {number} */ y) { path += `M${rounded(x)} ${rounded(y)}`; },
    lineTo(/** @type {number} */ x, /** @type {number} */ y) { path += `L${rounded(x)} ${rounded(y)}`; },
    closePath() { path += 'Z'; },
    stroke() { if (path) put(`<path d="${path}" fill="none" ${line()}/>`); },
    fill() { if (path) put(`<path d="${path}" fill="${now.fillStyle}"/>`); },
    fillRect(/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ w, /** @type {number} */ h) { put(`<rect ${rect(x, y, w, h)} fill="${now.fillStyle}"/>`); },
    strokeRect(/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ w, /** @type {number} */ h) { put(`<rect ${rect(x, y, w, h)} fill="none" ${line()}/>`); },
    fillText(/** @type {string} */ text, /** @type {number} */ x, /** @type {number} */ y) {
      const [, weight, size] = /** @type {RegExpExecArray} */ (/^(?:(\d+|bold) )?(\d+)px/.exec(now.font) ?? ['', '', '11']);
      const shift = rounded(y + (SHIFTS[now.textBaseline] ?? 0) * Number(size));
      put(`<text x="${rounded(x)}" y="${shift}" font-size="${size}"${weight ? ` font-weight="${weight}"` : ''} text-anchor="${ANCHORS[now.textAlign] ?? 'start'}" fill="${now.fillStyle}">${escaped(text)}</text>`);
    },
    measureText: (/** @type {string} */ text) => /** @type {TextMetrics} */ ({ width: measure(now.font, text) }),
    setLineDash(/** @type {Iterable<number>} */ dash) { now.dash = [...dash]; },
    save() { saved.push({ ...now, dash: [...now.dash] }); },
    restore() { now = saved.pop() ?? now; },
    rect(/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ w, /** @type {number} */ h) { path += `M${rounded(x)} ${rounded(y)}h${rounded(w)}v${rounded(h)}h${rounded(-w)}Z`; },
    clip() {
      now.clip = `clip${++clips}`;
      out.push(`<clipPath id="${now.clip}"><path d="${path}"/></clipPath>`);
    },
    drawImage(/** @type {HTMLCanvasElement} */ image, /** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ w, /** @type {number} */ h) {
      put(`<image ${rect(x, y, w, h)} preserveAspectRatio="none" style="image-rendering:pixelated" href="${image.toDataURL('image/png')}"/>`);
    },
    text: () => `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif">\n${out.join('\n')}\n</svg>\n`,
  };
  for (const key of /** @type {const} */ (['fillStyle', 'strokeStyle', 'lineWidth', 'font', 'textAlign', 'textBaseline'])) {
    Object.defineProperty(pen, key, { get: () => now[key], set: (value) => { /** @type {Record<string, unknown>} */ (now)[key] = value; } });
  }
  return /** @type {Pen & {text: () => string}} */ (/** @type {unknown} */ (pen));
}
