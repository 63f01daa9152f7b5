import assert from 'node:assert/strict';
import { test } from 'node:test';
import { svgPen } from '../../../tandv/page/front/svg.js';

test('text stays text, and no name becomes an element', () => {
  const pen = svgPen(100, 50, (_, text) => text.length);
  Object.assign(pen, { font: '600 12px system-ui', fillStyle: '#123456', textAlign: 'right' });
  pen.fillText('<img src=x onerror=alert(1)> & "b"', 10, 20);
  const text = pen.text();
  assert.match(text, /<text x="10" y="20" font-size="12" font-weight="600" text-anchor="end" fill="#123456">&#60;img/);
  assert.ok(!text.includes('<img'));
  assert.equal(pen.measureText('abc').width, 3);
});
test('what was saved comes back, with its clip', () => {
  const pen = svgPen(10, 10, () => 1);
  pen.fillStyle = '#fff000';
  pen.save();
  pen.fillStyle = '#000fff';
  pen.beginPath(); pen.rect(0, 0, 5, 5); pen.clip();
  pen.setLineDash([2, 3]);
  pen.beginPath(); pen.moveTo(0, 0); pen.lineTo(9, 9); pen.stroke();
  pen.restore();
  pen.fillRect(1, 2, 3, 4);
  const [clip, line, rect] = pen.text().split('\n').slice(1);
  assert.match(clip, /<clipPath id="clip1"><path d="M0 0h5v5h-5Z"/);
  assert.match(line, /clip-path="url\(#clip1\)".*d="M0 0L9 9".*stroke-dasharray="2 3"/);
  assert.equal(rect, '<rect x="1" y="2" width="3" height="4" fill="#fff000"/>');
});
