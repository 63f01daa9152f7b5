// Elements from plain values. Names of layers only ever become text.

/** @template {keyof HTMLElementTagNameMap} K @param {K} tag @param {Record<string, any>} [props] @param {...(Node|string|null)} kids @returns {HTMLElementTagNameMap[K]} */
export function h(tag, props = {}, ...kids) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
    else if (key in el) Object.assign(el, { [key]: value });
    else el.setAttribute(key, value);
  }
  el.append(...kids.filter((k) => k !== null));
  return el;
}

/** Run a function at most once per frame, with the last arguments. @template {unknown[]} A @param {(...a: A) => void} run */
export function coalesced(run) {
  /** @type {A|null} */ let waiting = null;
  return (/** @type {A} */ ...args) => {
    if (waiting === null) requestAnimationFrame(() => { const a = /** @type {A} */ (waiting); waiting = null; run(...a); });
    waiting = args;
  };
}
