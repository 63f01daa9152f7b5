// Names at rows: of single layers where there is room, else of groups; never two on one place.

const LINE = 12;  // pixels that a line of text takes

/** The group of a layer: its name up to the first number, else its first part. @param {string} name */
export const groupOf = (name) => /^(.*?\d+)(?=\.|$)/.exec(name)?.[1] ?? name.split('.')[0];

/**
 * @param {string[]} names @param {number} from @param {number} to the rows shown, the last excluded @param {number} height of all of them, in pixels
 * @returns {{labels: {text: string, y: number}[], borders: number[]}} y: the middle of a text; borders: where groups begin; both from the top
 */
export function rowLabels(names, from, to, height) {
  const room = height / Math.max(1, to - from);
  if (room >= LINE) return { labels: names.slice(from, to).map((text, r) => ({ text, y: (r + 0.5) * room })), borders: [] };
  /** @type {{text: string, from: number, to: number}[]} */ const groups = [];
  for (let r = from; r < to; r++) {
    const text = groupOf(names[r]), last = groups[groups.length - 1];
    if (last?.text === text) last.to = r + 1; else groups.push({ text, from: r, to: r + 1 });
  }
  const large = groups.filter((group) => group.to - group.from > 1);
  if (large.length < 2) {  // no groups: every so many layers
    const stride = Math.ceil((LINE + 1) / room), labels = [];
    for (let r = from; r < to; r += stride) labels.push({ text: names[r], y: (r - from + 0.5) * room });
    return { labels: labels.filter((label) => label.y >= LINE / 2 && label.y <= height - LINE / 2), borders: [] };
  }
  const labels = [];
  let free = 0;
  for (const group of large.concat(groups.filter((one) => one.to - one.from === 1 && room >= 9)).sort((a, b) => a.from - b.from)) {
    const y = ((group.from + group.to) / 2 - from) * room;
    if (y - LINE / 2 < free || y + LINE / 2 > height + 4) continue;
    labels.push({ text: group.text, y });
    free = y + LINE / 2;
  }
  return { labels, borders: large.flatMap((group) => [group.from, group.to]).filter((r, i, all) => r > from && r < to && all.indexOf(r) === i).map((r) => (r - from) * room) };
}

/**
 * The end of a name that fits, since names differ at their ends; with the number of its group in front, if its last part still fits then.
 * @param {string} text @param {number} width @param {(text: string) => number} measure
 */
export function fitted(text, width, measure) {
  if (measure(text) <= width) return text;
  const group = groupOf(text), number = /\d+$/.exec(group)?.[0], last = text.length - text.lastIndexOf('.') - 1;
  const numbered = number === undefined ? '' : endOf(text, group.length, width, measure, `${number}…`);
  return numbered.length - (number?.length ?? 0) > last ? numbered : endOf(text, 1, width, measure, '…');
}

/** @param {string} text @param {number} low where the end begins at the earliest @param {number} width @param {(text: string) => number} measure @param {string} before */
function endOf(text, low, width, measure, before) {
  let high = text.length;
  while (low < high) { const middle = (low + high) >> 1; if (measure(`${before}${text.slice(middle)}`) <= width) high = middle; else low = middle + 1; }
  return `${before}${text.slice(low)}`;
}
