import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transitionInWords } from '../../../tandv/page/front/curve_drawing.js';

test('a transition in a read-out says what is known of it', () => {
  const one = { curve: 'loss', start: 1000, step: 1200, end: 1400, before: 2.1, after: 0.5, kind: 'ramp', uncertain: true, size: '7.2', chance: '0.008' };
  assert.equal(transitionInWords(one), 'transition of loss: 2.1 → 0.5, steps 1,000 to 1,400 (ramp, 7.2 times the noise, p = 0.008, uncertain)');
  assert.equal(transitionInWords({ ...one, kind: '', uncertain: false, size: '–', chance: '–' }), 'transition of loss: 2.1 → 0.5, steps 1,000 to 1,400');
  assert.match(transitionInWords({ ...one, uncertain: false, chance: '< 0.0001' }), /, p < 0\.0001\)$/);
});
