// Where answers come from: a server or a kernel here, the file itself in embedded_answers.js. All give the same envelope.
/** @typedef {import('./types').Question} Question */
/** @typedef {import('./types').Kind} Kind */
/** @typedef {import('./types').Source} Source */
/** @typedef {import('./types').TypedArray} TypedArray */
/** @typedef {{arrays: TypedArray[], error?: string, [key: string]: any}} Head */

const ARRAYS = { float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, int32: Int32Array };
/** The arrays of each kind of answer, by name. @type {Record<Kind, string[]>} */
const NAMED = {
  meta: ['steps'], curves: ['steps', 'values', 'state'], transitions: [], heat: ['values', 'flags', 'starts'], map: ['shares', 'lanes', 'starts', 'logged'],
  lines: [], at: ['counts', 'lanes', 'profile', 'profileFlags'], firsts: [], findings: [], casts: ['flags', 'starts'],
};
/** @type {Record<string, number>} */ const WORDS_OF_NUMBERS = { nan: NaN, inf: Infinity, '-inf': -Infinity };

/** A number of a head, where one that is not finite is a word. @param {unknown} v @returns {number} */
export const numberOf = (v) => (typeof v === 'string' ? WORDS_OF_NUMBERS[v] ?? NaN : typeof v === 'number' ? v : NaN);

/** An envelope: eight bytes of length, a JSON list of heads, then arrays at multiples of eight. @param {ArrayBuffer} buffer @returns {Head[]} */
export function unpack(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true)), after = 8 + Math.ceil(length / 8) * 8;
  const heads = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  for (const head of heads) {
    head.arrays = (head.arrays ?? []).map((/** @type {{dtype: keyof typeof ARRAYS, shape: number[], at: number}} */ a) =>
      new ARRAYS[a.dtype](buffer, after + a.at, a.shape.reduce((x, y) => x * y, 1)));
  }
  return heads;
}

/** An answer whose arrays have names; throws what the question's error says. @param {Question} question @param {Head} head @returns {any} */
export function named(question, head) {
  if (head.error) throw new Error(head.error);
  const { arrays, ...fields } = head;
  NAMED[question.kind].forEach((name, i) => { fields[name] = arrays[i]; });
  if (question.kind === 'lines') {
    const each = question.metrics.map((_, i) => arrays.slice(3 * i, 3 * i + 3));
    Object.assign(fields, { metrics: question.metrics, low: each.map((a) => a[0]), high: each.map((a) => a[1]), flags: each.map((a) => a[2]), starts: arrays[arrays.length - 1] });
  }
  if (fields.stats) fields.stats = Object.fromEntries(Object.entries(fields.stats).map(([k, v]) => [k, numberOf(v)]));
  if (question.kind === 'transitions') for (const t of fields.found) for (const k of ['before', 'after']) t[k] = numberOf(t[k]);
  return fields;
}

/** Questions asked in one turn travel together. @param {(run: number, batch: Question[]) => Promise<ArrayBuffer>} send @param {boolean} live @returns {Source} */
export function batching(send, live) {
  /** @type {Map<number, {question: Question, done: (a: any) => void, fail: (e: unknown) => void}[]>} */ const waiting = new Map();
  /** @param {number} run */
  async function flush(run) {
    const batch = waiting.get(run) ?? [];
    waiting.delete(run);
    try {
      const heads = unpack(await send(run, batch.map((b) => b.question)));
      batch.forEach((b, i) => { try { b.done(named(b.question, heads[i])); } catch (e) { b.fail(e); } });
    } catch (e) { for (const b of batch) b.fail(e); }
  }
  return {
    live,
    ask: (question, run = 0) => new Promise((done, fail) => {
      if (!waiting.has(run)) { waiting.set(run, []); queueMicrotask(() => flush(run)); }
      waiting.get(run)?.push({ question, done, fail });
    }),
  };
}

/** What could not be reached; what a question asks in vain is a plain Error. */
export class ConnectionLost extends Error {}

/** Answers of the server that served this page. @returns {Source} */
export function served() {
  return batching(async (run, batch) => {
    let reply;
    try { reply = await fetch(`q?run=${run}&b=${encodeURIComponent(JSON.stringify(batch))}`); } catch { throw new ConnectionLost('the server does not answer'); }
    if (!reply.ok) throw new ConnectionLost((await reply.text()).slice(0, 300) || `the server answers ${reply.status}`);
    return reply.arrayBuffer();
  }, true);
}

/** @typedef {{id?: number, error?: string, changed?: number}} Content */
/** @typedef {{on: (event: string, listener: (content: Content, buffers: DataView[]) => void) => void, send: (message: unknown) => void}} Model */
const PATIENCE = 15000;
/** Answers of a kernel, by messages; `model` is anywidget's. @param {Model} model @returns {Source} */
export function kernel(model) {
  /** @type {Map<number, {done: (b: ArrayBuffer) => void, fail: (e: Error) => void, timer: ReturnType<typeof setTimeout>}>} */ const open = new Map();
  /** @type {Set<() => void>} */ const listeners = new Set();
  let last = Math.floor(Math.random() * 2 ** 40);  // all outputs that show one widget hear the answers of each
  model.on('msg:custom', (content, buffers) => {
    if (content.changed !== undefined) { for (const listener of listeners) listener(); return; }
    const b = buffers?.[0], waiting = open.get(content.id ?? -1);
    if (!waiting) return;
    open.delete(content.id ?? -1);
    clearTimeout(waiting.timer);
    if (content.error !== undefined || !b) waiting.fail(new Error(content.error ?? 'the kernel sent no answer'));
    // A view into the socket's message need not begin at a multiple of eight; a copy does.
    else waiting.done(/** @type {ArrayBuffer} */ (b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength)));
  });
  const answers = batching((run, batch) => new Promise((done, fail) => {
    const id = ++last;
    const timer = setTimeout(() => { if (open.delete(id)) fail(new ConnectionLost('the kernel does not answer: it is busy or gone; in the latter case run this cell again')); }, PATIENCE);
    open.set(id, { done, fail, timer });
    try { model.send({ id, run, batch }); } catch { open.delete(id); clearTimeout(timer); fail(new ConnectionLost('the kernel that answered is gone: run this cell again')); }
  }), true);
  return { ...answers, changes: (listener) => { listeners.add(listener); return () => { listeners.delete(listener); }; } };
}
