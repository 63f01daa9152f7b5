// Strokes in the heat map where a cast to the chosen format would lose much: upright where values become zero, level where
// the SQNR is low. Each run of marked cells has at least one; in a large marked area they stand apart.
export const UNDERFLOW_FLAG = 32, SQNR_FLAG = 64;
const BOTH = UNDERFLOW_FLAG | SQNR_FLAG;
const APART = 18, LONG = 5;  // CSS pixels: from one stroke to the next, and the length of one

/** @param {Uint32Array} px [h, w] @param {Uint8Array} marks [h, w] @param {number} w @param {number} h @param {{from: number, to: number, size: number, inks: {over: number, halo: number}}} of */
export function strokes(px, marks, w, h, of) {
  const t = Math.max(1, Math.round(of.size)), apart = APART * t, last = new Int32Array(w).fill(-apart);
  const flags = (/** @type {number} */ x, /** @type {number} */ y) => (marks[y * w + x] & 3 ? 0 : marks[y * w + x] & BOTH);
  /** Whether a stroke above stands for this place as well. @param {number} x @param {number} y @param {number} m */
  function isSeen(x, y, m) {
    for (let i = Math.max(0, x - apart / 2); i < Math.min(w, x + apart / 2); i++) {
      if (y - last[i] >= apart) continue;
      let above = y;
      while (above > last[i] && flags(x, above) === m && flags(i, above) === m) above--;
      if (above <= last[i]) return true;
    }
    return false;
  }
  const rows = of.to - of.from;
  for (let r = 0; r < rows; r++) {
    const top = Math.floor((r * h) / rows), height = Math.max(1, Math.floor(((r + 1) * h) / rows) - top), lines = Math.max(1, Math.floor(height / apart));
    for (let line = 0; line < lines; line++) {
      const y = Math.min(h - 1, Math.floor(top + ((line + 0.5) * height) / lines));
      for (let x = 0; x < w;) {
        const m = flags(x, y);
        let end = x + 1;
        while (end < w && flags(end, y) === m) end++;
        const many = m ? Math.max(1, Math.floor((end - x) / apart)) : 0;
        for (let i = 0; i < many; i++) {
          const at = Math.floor(x + ((i + 0.5) * (end - x)) / many);
          if (isSeen(at, y, m)) continue;
          stroke(px, w, h, at, y, m, t, of.inks);
          last[at] = y;
        }
        x = end;
      }
    }
  }
}

/** @param {Uint32Array} px @param {number} w @param {number} h @param {number} x @param {number} y @param {number} m @param {number} t @param {{over: number, halo: number}} inks */
function stroke(px, w, h, x, y, m, t, inks) {
  const half = Math.floor((LONG * t) / 2);
  for (const [wide, ink] of [[t, inks.halo], [0, inks.over]]) {
    for (let v = -half - wide; v <= half + wide; v++) for (let u = -wide; u < t + wide; u++) {
      if (m & UNDERFLOW_FLAG) put(px, w, h, x + u, y + v, ink);
      if (m & SQNR_FLAG) put(px, w, h, x + v, y + u, ink);
    }
  }
}

/** @param {Uint32Array} px @param {number} w @param {number} h @param {number} x @param {number} y @param {number} ink */
function put(px, w, h, x, y, ink) { if (x >= 0 && x < w && y >= 0 && y < h) px[y * w + x] = ink; }
