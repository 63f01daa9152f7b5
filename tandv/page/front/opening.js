// Where a page opens, when nobody said where: at the first infinity or NaN, which may be found only after the first picture.
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').View} View */

/** @type {(keyof View)[]} */
const PLACE = ['tt', 'layer', 'step'];

/** @param {Ctx} ctx @param {Partial<View>} wanted what the address says */
export function opening(ctx, wanted) {
  let open = !PLACE.some((k) => wanted[k] !== undefined && wanted[k] !== null && wanted[k] !== '') && !wanted.follow, moving = false;
  return {
    /** Whoever has moved is left where they are. @param {Set<keyof View>} changed */
    changed(changed) { if (!moving && PLACE.some((k) => changed.has(k))) open = false; },
    /** Called when findings have come. */
    found() {
      const { firsts } = ctx.data;
      if (!open || !firsts) return;
      const bad = firsts.found.find((f) => f.kind === 'nan' || f.kind === 'inf');
      if (firsts.ready || bad) open = false;
      if (!bad) return;
      moving = true;
      ctx.state.set({ tt: bad.tt, layer: bad.layer, step: bad.step });
      moving = false;
    },
  };
}
