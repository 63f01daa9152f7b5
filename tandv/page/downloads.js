// Tables and pictures that leave the page as files.

function saveAs(name, blob) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/[^\p{L}\p{N}._-]+/gu, '_');
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function saveCsv(name, metrics, state) {
  saveAs(`${name}.csv`, new Blob([csvOf(metrics, state.runs)], { type: 'text/csv;charset=utf-8' }));
}

// A picture of one figure with its title, as an image that can be drawn onto a canvas.
async function imageOf(figure, title, width, height) {
  const look = looks();
  const layout = structuredClone(figure.layout);
  layout.showlegend ||= DATA.runs.length > 1;
  const legend = layout.showlegend && layout.legend.orientation === 'h' ? 26 : 0;
  Object.assign(layout, {
    width, height, paper_bgcolor: look.panel,
    title: { text: `<b>${asText(title)}</b>`, x: 0, xref: 'paper', y: 1, yref: 'container', yanchor: 'top', pad: { t: 10 }, font: { size: 15, color: look.ink } },
  });
  layout.margin = { ...layout.margin, t: 38 + legend };
  const picture = new Image();
  picture.src = await Plotly.toImage({ data: figure.data, layout, config: CONFIG }, { format: 'png', width, height, scale: 2 });
  await picture.decode();
  return picture;
}

// One picture of several figures, side by side and below each other.
async function savePng(name, figures, size) {
  const look = looks();
  const across = Math.min(figures.length, 3);
  const down = Math.ceil(figures.length / across);
  const canvas = document.createElement('canvas');
  canvas.width = 2 * size.width * across;
  canvas.height = 2 * size.height * down;
  const paper = canvas.getContext('2d');
  paper.fillStyle = look.panel;
  paper.fillRect(0, 0, canvas.width, canvas.height);
  for (const [i, [title, figure]] of figures.entries()) {
    const picture = await imageOf(figure, title, size.width, size.height);
    paper.drawImage(picture, 2 * size.width * (i % across), 2 * size.height * Math.floor(i / across));
  }
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
  saveAs(`${name}.png`, blob);
}
