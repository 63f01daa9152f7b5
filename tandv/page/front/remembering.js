// The state in the page's address, or with whoever put the page here.
import { START, difference, fromAddress, toAddress } from './state.js';
/** @typedef {import('./types').View} View */

const SOON = 150;  // milliseconds: browsers refuse hundreds of changes of the address in a row

/** @param {import('./types').Options} options */
export function remembering(options) {
  let timer = 0, written = '';
  /** @type {(() => void)|null} */ let heard = null;
  return {
    /** What to begin with. */
    wanted() {
      const read = options.address ? fromAddress(location.hash) : { view: {}, notes: [] };
      const given = Object.fromEntries(Object.entries(options.view ?? {}).filter(([k]) => k in START));
      return { view: /** @type {Partial<View>} */ ({ ...given, ...read.view }), notes: read.notes };
    },
    /** @param {View} view @param {View} base */
    remember(view, base) {
      clearTimeout(timer);
      timer = window.setTimeout(() => {
        if (options.address) { written = toAddress(view, base); history.replaceState(null, '', written); }
        options.changed?.(difference(view, base));
      }, SOON);
    },
    /** Hear of an address that somebody typed, pasted or clicked. @param {(patch: Partial<View>, notes: string[]) => void} changed */
    listen(changed) {
      if (!options.address) return;
      heard = () => { if (location.hash === written) return; const read = fromAddress(location.hash); changed(read.view, read.notes); };
      addEventListener('hashchange', heard);
    },
    end() { clearTimeout(timer); if (heard) removeEventListener('hashchange', heard); },
  };
}
