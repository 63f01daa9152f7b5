import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionLost, batching, kernel, named, served, unpack } from '../../../tandv/page/front/source.js';

/** An envelope as tandv.page.envelope packs it. @param {[Record<string, unknown>, (Float32Array|Float64Array|Uint8Array)[]][]} answers */
function pack(answers) {
  /** @type {Uint8Array[]} */ const body = [];
  let at = 0;
  const heads = answers.map(([head, arrays]) => ({ ...head, arrays: arrays.map((a) => {
    const place = { dtype: a.constructor.name.replace('Array', '').toLowerCase(), shape: [a.length], at }, bytes = new Uint8Array(Math.ceil(a.byteLength / 8) * 8);
    bytes.set(new Uint8Array(a.buffer, a.byteOffset, a.byteLength));
    body.push(bytes); at += bytes.length;
    return place;
  }) }));
  const text = new TextEncoder().encode(JSON.stringify(heads)), header = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(32);
  header.set(text);
  const out = new Uint8Array(8 + header.length + at);
  new DataView(out.buffer).setBigUint64(0, BigInt(header.length), true);
  out.set(header, 8);
  let place = 8 + header.length;
  for (const b of body) { out.set(b, place); place += b.length; }
  return out.buffer;
}

test('arrays of an envelope begin where their heads say, whatever the length of the heads', () => {
  for (const name of ['a', 'ab', 'abc', 'übung', '\u2028']) {
    const [first, second] = unpack(pack([[{ name }, [Uint8Array.of(1, 2, 3), Float64Array.of(1.5, NaN)]], [{}, [Float32Array.of(7)]]]));
    assert.equal(first.name, name);
    assert.deepEqual([...first.arrays[0], ...first.arrays[1], ...second.arrays[0]], [1, 2, 3, 1.5, NaN, 7]);
  }
});
test('arrays have names, numbers that are not finite are numbers again', () => {
  const at = named({ kind: 'at', tt: 'a', layer: 'b', step: 1, metric: 'rm2' }, { step: 1, stats: { rm2: 'nan', max_abs: '-inf', numel: 3 }, arrays: [Float64Array.of(1), Float64Array.of(0, 0, 2), Float32Array.of(4), Uint8Array.of(1)] });
  assert.deepEqual(at.stats, { rm2: NaN, max_abs: -Infinity, numel: 3 });
  assert.deepEqual([at.counts[0], at.lanes[2], at.profile[0], at.profileFlags[0], 'arrays' in at], [1, 2, 4, 1, false]);
  const lines = named({ kind: 'lines', tt: 'a', layer: 'b', metrics: ['x', 'y'], from: null, to: null, w: 1 }, { arrays: [1, 2, 3, 4, 5, 6, 7].map((v) => Float32Array.of(v)) });
  assert.deepEqual([lines.low.map((/** @type {Float32Array} */ a) => a[0]), lines.high.map((/** @type {Float32Array} */ a) => a[0]), lines.starts[0]], [[1, 4], [2, 5], 7]);
});
test('questions of one turn travel together, each run by itself; an error is of its question only', async () => {
  /** @type {[number, string[]][]} */ const sent = [];
  const source = batching(async (run, batch) => { sent.push([run, batch.map((q) => q.kind)]); return pack(batch.map((q) => [q.kind === 'curves' ? { error: 'there are no curves' } : { found: [], kind: q.kind }, []])); }, true);
  const [a, b, c] = await Promise.allSettled([source.ask({ kind: 'firsts', format: null }), source.ask({ kind: 'curves' }), source.ask({ kind: 'firsts', format: null }, 1)]);
  await source.ask({ kind: 'firsts', format: null });
  assert.deepEqual(sent, [[0, ['firsts', 'curves']], [1, ['firsts']], [0, ['firsts']]]);
  assert.deepEqual([a.status, b.status, c.status], ['fulfilled', 'rejected', 'fulfilled']);
  assert.ok(b.status === 'rejected' && b.reason.message === 'there are no curves' && !(b.reason instanceof ConnectionLost));
});
test('a server that does not answer is told from a question that has no answer', async (t) => {
  const ask = () => served().ask({ kind: 'meta' });
  t.mock.method(globalThis, 'fetch', async () => { throw new TypeError('failed'); });
  await assert.rejects(ask, ConnectionLost);
  t.mock.method(globalThis, 'fetch', async () => new Response('open the address that tandv printed', { status: 403 }));
  await assert.rejects(ask, (e) => e instanceof ConnectionLost && e.message.startsWith('open the address'));
});
test('a kernel answers by messages, whose bytes may begin anywhere', async () => {
  /** @type {(content: {id: number}, buffers: DataView[]) => void} */ let heard = () => {};
  const model = {
    on: (/** @type {string} */ _, /** @type {typeof heard} */ listener) => { heard = listener; },
    send: (/** @type {any} */ message) => {
      const envelope = new Uint8Array(pack([[{ name: message.batch[0].kind }, [Float64Array.of(3)]]])), shifted = new Uint8Array(envelope.length + 3);
      shifted.set(envelope, 3);
      queueMicrotask(() => heard({ id: message.id }, [new DataView(shifted.buffer, 3)]));
    },
  };
  const meta = await kernel(model).ask({ kind: 'meta' });
  assert.deepEqual([meta.name, meta.steps[0]], ['meta', 3]);
});
