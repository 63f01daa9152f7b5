// Where the page in one file begins: its data stand beside it, compressed, in letters of base64.
import { mount } from './app.js';
import { embedded } from './embedded_answers.js';

/** @param {string} id */
const textOf = (id) => document.getElementById(id)?.textContent ?? '';

async function begin() {
  const root = document.getElementById('tandv');
  if (!root) return;
  try {
    await mount(root, await embedded(textOf('tandv-data')), { address: true, view: JSON.parse(atob(textOf('tandv-view'))) });
  } catch (error) {
    root.textContent = `This page cannot be shown: ${error instanceof Error ? error.message : String(error)}`;
  }
}
void begin();
