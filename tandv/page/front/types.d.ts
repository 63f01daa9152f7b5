// The types that the page's modules share: what is asked and answered, the state, and what a panel may use.

export type TypedArray = Float32Array | Float64Array | Uint8Array | Int8Array | Uint16Array | Int16Array | Int32Array;

// ---- Questions. Steps are real steps, both ends included; null is the first or the last one.
export interface Shown { from: number | null; to: number | null; w: number }
export type Question = (
  | { kind: 'meta' }
  | { kind: 'curves' }
  | { kind: 'transitions' }
  | ({ kind: 'heat'; tt: string; metric: string; format: string | null; change: boolean; against: number | null } & Shown)
  | ({ kind: 'map'; tt: string; layer: string } & Shown)
  | ({ kind: 'lines'; tt: string; layer: string; metrics: string[] } & Shown)
  | { kind: 'at'; tt: string; layer: string; step: number; metric: string }
  | { kind: 'firsts'; format: string | null }
  | { kind: 'findings' }
  | ({ kind: 'casts'; tt: string; format: string | null; scale?: string; underflow?: number; sqnr?: number } & Shown)
) & { phase?: string; rank?: number };
export type Kind = Question['kind'];

// ---- Answers: the head's fields, and its arrays by name (the table NAMED in source.js).
export interface NumberFormat {
  name: string; max: number; overflows_above: number; smallest_normal: number; smallest_subnormal: number;
  vanishes_at: number; bits: number;
}
/** Where a page opens; null where there is no log. */
export interface Place { tt: string | null; layer: string | null; step: number | null; metric: string; format: string; /** The axis of steps on the charts. */ axis?: 'linear' | 'log' }
export interface Meta {
  name: string; title: string; status: string; version: number | string; notes: string[];
  runs: string[]; holds: 'log' | 'curves';
  types: Record<string, string[]>; metrics: string[]; meanings: Record<string, string>;
  low: number; high: number; formats: Record<string, NumberFormat>;
  phases: string[]; phase: string | null; ranks: (string | number)[]; rank: string | number | null;
  /** Where a page opens; `other` is the run that this one is compared with. */ start: Partial<Place> & { other?: number }; transitionsRule: string;
  steps: Float64Array;
  /** Most steps that one of `steps` stands for: more than 1 in a file that holds columns of steps. */ pooled?: number;
}
/** `values` and `state` [curve, step]; state: 0 finite, 1 NaN, 2 +infinity, 3 -infinity, 8 no value at this step. */
export interface Curves { names: string[]; shown: string[]; steps: Float64Array; values: Float64Array; state: Uint8Array }
export interface Transition {
  curve: string; start: number; step: number; end: number; before: number; after: number;
  /** In words, or empty. */ kind: string;
  /** Whether chance may explain it. */ uncertain: boolean;
  /** In standard deviations of the noise, in words. */ size: string;
  /** Its p-value, in words. */ chance: string;
}
export interface Transitions { found: Transition[]; rule: string; ready: boolean; note?: string | null }
/** `values` and `flags` [row, column]; flags: 1 NaN, 2 infinity, 4 overflows the format, 8 not logged. */
export interface Heat {
  rows: number; cols: number; pooled: number; parted: number | null; base: string | null;
  values: Float32Array | Float64Array; flags: Uint8Array; starts: Float64Array;
}
/** `shares` [column, bin]: 0 none, else 255 + 8 log2(share). `lanes` [3, column]: shares of zeros, infinities, NaN. */
export interface ExponentMap {
  bins: number[]; cols: number; pooled: number;
  shares: Uint8Array; lanes: Float32Array; starts: Float64Array; logged: Uint8Array;
}
export interface Lines { metrics: string[]; low: (Float32Array | Float64Array)[]; high: (Float32Array | Float64Array)[]; flags: Uint8Array[]; starts: Float64Array }
/** The smallest and the largest value of a statistic over the ranks of a run, null where no rank has a finite one, and whose they are. */
export interface OverRanks {
  smallest: number | null; rank_of_smallest: number; largest: number | null; rank_of_largest: number;
  /** The ranks that have most NaN and most infinities, where there are any. */ most?: { nans?: number; infs?: number };
}
/** `counts` [bin], `lanes` [3]: numbers of zeros, infinities, NaN. `profile` [layer]: one statistic of all layers. */
export interface At {
  step: number; logged: boolean; stats: Record<string, number>; bins: number[];
  /** Whether counts come from shares that are rounded, as in one file. */ rounded?: boolean;
  /** Of the statistic that is asked for, where the log knows of single ranks. */ ranks?: OverRanks;
  counts: Float64Array; lanes: Float64Array; profile: Float32Array | Float64Array; profileFlags: Uint8Array;
}
export type FindingKind = 'nan' | 'inf' | 'overflow' | 'dead';
export interface Finding { kind: FindingKind; tt: string; layer: string; step: number; count: number; of: number }
export interface Firsts {
  found: Finding[]; total: number; left: string; badges: Record<string, Record<string, FindingKind[]>>; ready: boolean;
}
export type Severity = 'error' | 'warning' | 'note';
/** What a row of a list or tree is marked with. */
export type Mark = FindingKind | Severity;
/** What a rule found: `layer` is "*" where it is of no single one; the loss has the tensor type "loss". */
export interface RuleFinding {
  kind: string; severity: Severity; tt: string; layer: string; step: number;
  what: string; before: string; advice: string; evidence: string[];
}
/** `step`: the last one that the rules know, null where they looked at nothing. */
export interface Findings { found: RuleFinding[]; total: number; notChecked: string[]; step: number | null; ready: boolean }
/** From where on a cast with a scale loses too much: a share of the values that becomes zero, an SQNR in dB. */
export interface CastLimits { scale: string; underflow: number; sqnr: number }
/** `flags` [row, column]: 32 more than the share `underflow` becomes zero, 64 an SQNR below `sqnr` dB. */
export interface Casts extends CastLimits { rows: number; cols: number; ready: boolean; flags: Uint8Array; starts: Float64Array }
export interface AnswerOf {
  meta: Meta; curves: Curves; transitions: Transitions; heat: Heat; map: ExponentMap; lines: Lines; at: At; firsts: Firsts;
  findings: Findings; casts: Casts;
}

/** Of one run in one file: what tandv/page/pooled.py says of its head and arrays, which are named here in their order. */
export interface FileRun {
  meta: Omit<Meta, 'steps'>; curves: Pick<Curves, 'names' | 'shown'>; transitions: Transitions;
  firsts: Record<string, Firsts>; findings: Findings; tensors: [string, string][]; rounded: string[]; counted: string[];
  code: { per: number; offset: number }; change: string;
  against: Record<string, Record<string, Record<string, Pick<Heat, 'parted' | 'base'>>>>;
  arrays: [starts: Float64Array, steps: Int32Array, flags: Uint8Array, over: Uint16Array, high: Uint8Array, low: Uint8Array,
    counts: Float64Array, early: Float32Array | Float64Array, bins: Int32Array, shares: Uint8Array, lanes: Float32Array,
    flagsOne: Uint8Array, highOne: Uint8Array, lowOne: Uint8Array, countsOne: Float64Array, sharesOne: Uint8Array, lanesOne: Float32Array, numbers: Int32Array, lossy: Int32Array,
    curveSteps: Float64Array, curveValues: Float64Array, curveState: Uint8Array];
}

/** Where answers come from: a server, a kernel, or the file itself. */
export interface Source {
  /** Whether new steps may come. */
  live: boolean;
  /** Whether it holds the marks of one kind of cast alone, as a file does. */ marks?: 'held';
  ask<K extends Kind>(question: Extract<Question, { kind: K }>, run?: number): Promise<AnswerOf[K]>;
  /** Hear of new steps, until the function that is returned is called; a source without it is asked again and again. */
  changes?(listener: () => void): () => void;
}

// ---- State. The address is what differs from the defaults; '' and null mean "not chosen".
export interface View {
  view: 'screen' | 'curves';
  run: number;
  /** Another run to compare with, or -1. */ other: number;
  /** How the layers of two runs are shown: one divided by the other, or side by side. */ compare: 'difference' | 'side';
  tt: string; metric: string; layer: string; step: number | null;
  /** The steps shown, both included. */ from: number | null; to: number | null;
  /** The layers shown, by name, both included. */ top: string; bottom: string;
  format: string; /** Of the casts that mark cells: the scale, a limit in %, one in dB. */ scale: string; underflow: string; sqnr: string;
  colour: 'value' | 'change'; pin: number | null; follow: boolean;
  theme: '' | 'dark' | 'light'; phase: string; rank: string;
  /** Which curves are chosen on the charts, and how; a text that only the charts read. */ charts: string;
}
export interface State {
  view: View;
  set(patch: Partial<View>): void;
  on(listener: (view: View, changed: Set<keyof View>) => void): void;
}

// ---- What panels share.
export interface Box { x: number; y: number; w: number; h: number }
export interface Hover { /** index of a logged step */ i: number | null; row: number | null }
/** Colours of the theme. */
export type Look = import('./colour.js').Look;
/** The cell of a second step or of another run, drawn as a ghost; `label` says which. */
export interface Ghost extends At { label: string }
/** An answer with the state that it was asked for: what its labels name. */
export type Asked<A> = A & { asked: View };
export interface Data {
  /** By number of the run. */ curves: (Curves | null)[];
  /** By number of the run. */ transitions: (Transitions | null)[];
  heat: Asked<Heat> | null; map: Asked<ExponentMap> | null; lines: Asked<Lines> | null; at: Asked<At> | null;
  /** The other run side by side. */ otherHeat: Asked<Heat> | null; otherLines: Asked<Lines> | null;
  /** The pinned step. */ pin: Asked<Ghost> | null;
  /** The other run at the cursor. */ other: Asked<Ghost> | null;
  firsts: Asked<Firsts> | null; casts: Asked<Casts> | null; findings: Asked<Findings> | null;
  /** What the other run has. */ otherMeta: Meta | null;
}
export interface Panel {
  el: HTMLElement; inner: HTMLElement; base: HTMLCanvasElement; over: HTMLCanvasElement;
  title: HTMLElement; more: HTMLElement; save: HTMLElement; box: Box;
  /** What the panel paints; called at most once a frame. */ does: { draw(): void; hover(): void };
  /** Paint the picture again, in the next frame. */ draw(): void;
  /** Paint what follows the mouse and the cursor again, in the next frame. */ hover(): void;
  /** Take the size of the panel. */ fit(): void;
  /** Whether the picture was last made of the same things, at the same size: it need not be made again. */ same(...of: unknown[]): boolean;
  /** Show why there is no picture, or null. */ wrong(sentence: string | null): void;
  fresh(): CanvasRenderingContext2D; freshOver(): CanvasRenderingContext2D;
  dpr(): number;
  /** What the downloads of this panel hold. */ file?: PanelFile;
}
export interface PanelFile {
  /** A part of the file's name. */ name: string;
  /** Draw the picture at `size` pixels per CSS pixel. */ paint(pen: import('./svg.js').Pen, size: number): void;
  /** What is shown as a table, its first row the names of columns, or null where nothing is shown. */
  table(): import('./csv.js').Table | null;
  /** The state that the drawn answer was asked for, which names the file; null where nothing is drawn. */
  asked(): View | null;
}
/** A table or list without canvas. */
export interface Part { el: HTMLElement; draw(): void }
export type PanelName = 'curves' | 'heat' | 'otherHeat' | 'profile' | 'exponents' | 'histogram';
/** Lines of text of the read-out under the mouse; the first is its heading. */
export type Words = string[] | null;
export interface Mouse {
  /** A panel whose x is the step: hover, click, drag to zoom, wheel; with `row`, its y is the layer. */
  steps(panel: Panel, what?: { rows?: boolean; read?: (i: number, row: number, y: number) => Words }): void;
  /** A panel whose y is the layer. */
  rows(panel: Panel, read: (row: number) => Words): void;
  /** A panel that only reads out. */
  plain(panel: Panel, read: (x: number, y: number) => Words): void;
}
export interface Ctx {
  state: State; source: Source; meta: Meta; data: Data; hover: Hover; look: Look;
  panels: Record<PanelName, Panel>;
  mouse: Mouse;
  /** Layers of the chosen tensor type, in the model's order. */ layers(): string[];
  /** Rows shown: first, and one past the last. */ rows(): [number, number];
  /** Row of the chosen layer, or -1. */ row(): number;
  /** Indices of the logged steps shown; b is one past the last. */ span(): { a: number; b: number };
  /** Index of the logged step at the cursor. */ cursor(): number;
  /** Fractional index of any step among the logged ones. */ index(step: number): number;
  /** Pixel of an index of a logged step (its middle). */ x(i: number, box: Box): number;
  /** Pixel of a row (its middle). */ y(row: number, box: Box): number;
  /** Index of the logged step at a pixel. */ indexAt(x: number, box: Box): number;
  rowAt(y: number, box: Box): number;
  /** Column of an answer that holds the logged step with index i, or -1. */ column(i: number, starts: Float64Array): number;
  /** Column of an answer at each of `w` pixels, or -1. */ columns(starts: Float64Array, w: number): Int32Array;
  /** Where lines of the cursor, the mouse and the pin stand in a box. */ lines(box: Box, rows?: boolean): CursorLines;
  /** Move the cursor by logged steps. */ move(by: number): void;
  /** Move the cursor by layers. */ climb(by: number): void;
  /** Zoom around a logged step's index; a factor below 1 zooms in. */ zoom(factor: number, at?: number): void;
  /** Scroll the zoom so that a logged step is seen. */ show(i: number): void;
  /** What of the zoom must change for a logged step to be seen. */ around(i: number): { from?: number; to?: number };
  /** Show all steps and layers. */ all(): void;
  tip(words: Words, event?: MouseEvent): void;
  /** Light or dark. */ flip(): void;
  /** Say a sentence to everyone, also to a screen reader. */ say(sentence: string): void;
}
export interface CursorLines {
  x: number | null; hoverX: number | null; pinX: number | null; y: number | null; hoverY: number | null;
}
export interface Options {
  /** Whether the page's address holds the state. */ address?: boolean;
  /** A state to begin with. */ view?: Partial<View>;
  /** Called with what differs from the defaults after each change. */ changed?: (view: Partial<View>) => void;
}
/** What tests and benchmarks read, in milliseconds: when the first picture stood, how long the page took, from a change to its pictures, a hover's time of the main thread. */
export interface Times { first: number; mounted: number; clicks: number[]; hovers: number[] }
declare global {
  /** For tests and benchmarks. */ interface HTMLElement { tandv?: { times: Times; state: State; ctx: Ctx; busy(): boolean } }
}
