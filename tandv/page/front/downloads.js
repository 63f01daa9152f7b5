// Placeholder: buttons that save each panel as PNG, SVG and CSV.
/** Put the buttons into the panels' `save`. @param {import('./types').Ctx} ctx */
export function saving(ctx) { void ctx; }
