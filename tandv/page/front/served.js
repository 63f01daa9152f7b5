// Where the served page begins.
import { mount } from './app.js';
import { served } from './source.js';

const root = document.getElementById('tandv');
if (root) void mount(root, served(), { address: true });
