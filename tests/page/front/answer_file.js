// Answers questions from an envelope in a file: node answer_file.js ENVELOPE '[[run, question], ...]', as JSON.
import { readFileSync } from 'node:fs';
import { fileAnswers } from '../../../tandv/page/front/embedded_answers.js';
import { unpack } from '../../../tandv/page/front/source.js';

const bytes = readFileSync(process.argv[2]), runs = /** @type {any} */ (unpack(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
const answer = fileAnswers(runs);
const words = (/** @type {number} */ v) => (Number.isFinite(v) ? v : String(v));
const answers = JSON.parse(process.argv[3]).map((/** @type {[number, any]} */ [run, question]) => {
  try {
    const { arrays, ...head } = answer(run, question);
    return { head: JSON.parse(JSON.stringify(head, (_, v) => (typeof v === 'number' ? words(v) : v))), arrays: arrays.map((a) => Array.from(a, words)) };
  } catch (e) { return { head: { error: /** @type {Error} */ (e).message }, arrays: [] }; }
});
process.stdout.write(JSON.stringify(answers));
