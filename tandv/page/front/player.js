// Steps as a film: a slider to scrub, play, and the step as a number.
import { h } from './dom.js';
import { clamp } from './geometry.js';
import { whole } from './numbers.js';
import { nearest } from './state.js';
/** @typedef {import('./types').Ctx} Ctx */

const EVERY = 60, CALM = 500, FRAMES = 200;  // milliseconds a picture, with reduced motion, and pictures of a whole film

/** @param {Ctx} ctx @param {() => boolean} busy whether the last picture is still being asked for */
export function player(ctx, busy) {
  const { state } = ctx;
  let timer = 0;
  const button = h('button', { type: 'button', className: 'play', onclick: () => toggle() });
  const slider = h('input', { type: 'range', min: '0', step: '1', ariaLabel: 'step', oninput: () => go(Number(slider.value)) });
  const number = h('input', { type: 'number', ariaLabel: 'go to step', title: 'go to step', onchange: () => typed() });
  const el = h('div', { className: 'player', role: 'group', ariaLabel: 'steps' }, button, slider, number);
  const go = (/** @type {number} */ i) => { halt(); state.set({ step: ctx.meta.steps[i], follow: false, ...ctx.around(i) }); };
  function typed() {
    const step = number.value.trim() === '' ? NaN : Number(number.value);
    if (Number.isFinite(step)) go(nearest(ctx.meta.steps, step));
    draw();
  }
  function halt() { clearInterval(timer); timer = 0; }
  function stop() { halt(); draw(); }
  function toggle() {
    if (timer) { stop(); return; }
    const n = ctx.meta.steps.length, { a, b } = ctx.span();
    if (n < 2) return;
    if (ctx.cursor() >= b - 1) go(a);
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    timer = window.setInterval(() => {
      if (busy()) return;  // no picture is skipped because the next one was asked for
      const s = ctx.span(), next = ctx.cursor() + Math.max(1, Math.round((s.b - s.a) / FRAMES));
      if (ctx.cursor() >= s.b - 1) { stop(); return; }
      state.set({ step: ctx.meta.steps[clamp(next, s.a, s.b - 1)], follow: false });
    }, calm ? CALM : EVERY);
    draw();
  }
  function draw() {
    const last = ctx.meta.steps.length - 1, step = state.view.step;
    button.textContent = timer ? '❚❚' : '▶';
    button.title = timer ? 'stop (space)' : 'play the steps (space)';
    button.ariaLabel = timer ? 'stop' : 'play the steps';
    slider.max = String(Math.max(0, last)); slider.value = String(ctx.cursor());
    slider.ariaValueText = step === null ? 'no step' : `step ${whole(step)}`;
    slider.disabled = button.disabled = number.disabled = last < 1;
    if (number !== /** @type {Document|ShadowRoot} */ (number.getRootNode()).activeElement || !number.value) number.value = step === null ? '' : String(step);
  }
  return { el, draw, toggle, end: halt };
}
