// The shapes that the charts of curves are made of.
import type { Box, Ctx, Transition } from '../types';
import type { Look } from '../colour.js';
import type { Settings } from './settings.js';

/** A curve with steps of its own: those at which the run has a value of it. */
export interface Curve {
  steps: Float64Array;
  values: Float64Array;
  /** 0 finite, 1 NaN, 2 infinite, 3 minus infinite */
  state: Uint8Array;
  /** steps of the run at which it has no value */
  skipped: number;
  /** ends of the stretches of them, two by two, where nearly all steps have a value */
  without: number[];
}

export interface Run {
  name: string;
  steps: Float64Array;
  names: string[];
  shown: string[];
  curve(metric: string): Curve | null;
  transitions: Transition[];
}

export interface Statistics {
  known: number;
  nans: number;
  infinite: number;
  skipped: number;
  first: number;
  last: number;
  smallest: number;
  smallestAt: number;
  largest: number;
  largestAt: number;
  mean: number;
  std: number;
}

/** Values along an axis to pixels and back. */
export interface AxisScale {
  low: number;
  high: number;
  log: boolean;
  at(value: number): number;
  value(pixel: number): number;
}

/** points: x0, y0, x1, y1, …; a NaN lifts the pen */
export interface Path { kind: 'path'; points: ArrayLike<number>; stroke?: string; width?: number; dash?: number[]; fill?: string; alpha?: number }
/** columns: x, top, bottom of each */
export interface Bars { kind: 'bars'; columns: ArrayLike<number>; width: number; fill: string; alpha: number }
export interface Rect extends Box { kind: 'rect'; fill: string; alpha?: number }
export interface Text { kind: 'text'; x: number; y: number; text: string; fill: string; size: number; align?: 'left' | 'center' | 'right'; bold?: boolean }
/** pixels of its own; `size` is how many of them a pixel of the page has */
export interface Raster extends Box { kind: 'raster'; fill(pixels: Uint32Array, w: number, h: number, size: number): void }
export type Item = Path | Bars | Rect | Text | Raster;

/** A picture as plain data, which a canvas and an SVG show alike; `inside` is cut off at the box. */
export interface Scene { w: number; h: number; box: Box; under: Item[]; inside: Item[]; over: Item[] }

/** A curve in a chart, in the looks of its run. */
export interface Line { metric: string; run: number; label: string; curve: Curve; colour: string; dash: number[] }

export interface Chart {
  scene: Scene;
  x: AxisScale;
  lines: Line[];
  /** height in pixels of a line's value at a place in its curve, NaN where it is not finite */
  height(line: Line, at: number): number;
  /** the points of each line on the screen */
  points: Map<Line, ArrayLike<number>>;
  /** most values that one column of pixels stands for, 1 where none are pooled */
  pooled: number;
  /** what is shown otherwise than asked */
  notes: string[];
}

/** What all charts of a view have in common. */
export interface Charted {
  runs: Run[];
  /** runs that are shown, by place */
  visible: number[];
  /** metrics that are shown, and all */
  metrics: string[];
  known: string[];
  logSteps: boolean;
  logValues: boolean;
  marks: boolean;
  /** first and last step shown, null for all */
  from: number | null;
  to: number | null;
  rule: string;
  meanings: Record<string, string>;
  look: Look;
}

/** What the parts of the view share. */
export interface Board {
  ctx: Ctx;
  charted(): Charted;
  settings(): Settings;
  change(patch: Partial<Settings>): void;
  /** the step of the cursor, null where it stands at the last step, as it does at first */
  cursor(): number | null;
  /** the step under the mouse */
  hovered(): number | null;
  hover(step: number | null): void;
  moveTo(step: number): void;
  zoom(from: number | null, to: number | null): void;
}
/** A part that is shown: grid, overlay, tables or the expanded chart. */
export interface Layout {
  el: HTMLElement;
  draw(): void;
  /** Follow cursor and mouse. */
  point(): void;
  /** most values that a pixel of its charts stands for */
  pooled(): number;
  end(): void;
}
