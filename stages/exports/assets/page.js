// A pad of 32 × 32 cells, the inputs that the model wants of it, and its answer; all of it on this page.
import * as ort from "./ort.wasm.bundle.min.mjs";

const SIDE = 8, BLOCK = 4, CELLS = SIDE * BLOCK, PEN = 1.7;
const each = [...Array(SIDE).keys()];

// The values of every input by name, of 64 counts of inked cells, row after row.
export function inputsOf(counts) {
  const at = (row, column) => counts[row * SIDE + column];
  const sum = numbers => numbers.reduce((total, number) => total + number, 0);
  const rows = each.map(row => sum(each.map(column => at(row, column))));
  const columns = each.map(column => sum(each.map(row => at(row, column))));
  const ink = sum(rows), centre = sums => sum(sums.map((inked, place) => inked * place)) / ink;
  return Object.fromEntries([
    ...each.flatMap(row => each.map(column => [`pixel_${row}_${column}`, at(row, column)])),
    ...each.flatMap(place => [[`row_${place}_ink`, rows[place]], [`column_${place}_ink`, columns[place]]]),
    ["ink", ink], ["centre_row", centre(rows)], ["centre_column", centre(columns)],
  ]);
}

// The probabilities of the classes.
export async function score(counts) {
  const {session, told} = await model, values = inputsOf(counts);
  const row = Float32Array.from(told.inputs, input => values[input.name]);
  const found = await session.run({[told.model.input]: new ort.Tensor("float32", row, [1, row.length])});
  return found[told.model.output].data;
}

async function load() {
  ort.env.wasm.numThreads = 1;
  const [told, examples] = await Promise.all(
    ["inputs.json", "examples.json"].map(async name => (await fetch(name)).json()));
  return {told, examples, session: await ort.InferenceSession.create(told.model.file)};
}

const find = id => document.getElementById(id);
const pad = new Uint8Array(CELLS * CELLS);
const model = load();
let pen = null, asked = 0, shown = 0;

function countsOf() {
  const counts = new Array(SIDE * SIDE).fill(0);
  pad.forEach((ink, cell) => {
    counts[Math.floor(cell / CELLS / BLOCK) * SIDE + Math.floor(cell % CELLS / BLOCK)] += ink;
  });
  return counts;
}

function paint(canvas, shares) {
  const side = canvas.width, image = new ImageData(side, side);
  shares.forEach((share, place) => image.data.set([0, 0, 0, Math.round(255 * share)], 4 * place));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

async function answer() {
  const counts = countsOf(), mine = ++asked, isEmpty = !counts.some(Boolean);
  paint(find("pad"), pad);
  paint(find("seen"), counts.map(count => count / BLOCK ** 2));
  const {told} = await model, scores = isEmpty ? told.classes.map(() => 0) : await score(counts);
  if (mine !== asked) return;  // something was drawn meanwhile
  const best = scores.indexOf(Math.max(...scores));
  find("answer").textContent = isEmpty ? "Draw, and the answer is here." : `Most probably: ${told.classes[best]}`;
  find("classes").replaceChildren(...told.classes.map((name, place) => line(name, scores[place], !isEmpty && place === best)));
}

function line(name, score, isBest) {
  const row = document.createElement("tr");
  const cells = ["th", "td", "td"].map(kind => row.appendChild(document.createElement(kind)));
  const bar = cells[1].appendChild(document.createElement("span"));
  row.className = isBest ? "best" : "";
  cells[0].scope = "row";
  cells[0].textContent = name;
  bar.style.width = `${100 * score}%`;
  cells[2].textContent = `${(100 * score).toFixed(1)} %`;
  return row;
}

function cellOf(event) {
  const box = find("pad").getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * CELLS, (event.clientY - box.top) / box.height * CELLS];
}

function ink([x, y]) {
  for (let row = 0; row < CELLS; row++)
    for (let column = 0; column < CELLS; column++)
      if (Math.hypot(column + 0.5 - x, row + 0.5 - y) < PEN) pad[row * CELLS + column] = 1;
}

function draw(event) {
  const to = cellOf(event), [x, y] = pen ?? to, steps = Math.ceil(Math.hypot(to[0] - x, to[1] - y)) || 1;
  for (let step = 0; step <= steps; step++)
    ink([x + (to[0] - x) * step / steps, y + (to[1] - y) * step / steps]);
  pen = to;
  answer();
}

// So many inked cells in each block, as a drawing may have had them: from the middle of the block outwards.
function show(counts) {
  const order = [5, 6, 9, 10, 1, 2, 4, 7, 8, 11, 13, 14, 0, 3, 12, 15];
  pad.fill(0);
  counts.forEach((count, block) => order.slice(0, count).forEach(cell => {
    const row = Math.floor(block / SIDE) * BLOCK + Math.floor(cell / BLOCK);
    pad[row * CELLS + block % SIDE * BLOCK + cell % BLOCK] = 1;
  }));
  return answer();
}

find("pad").addEventListener("pointerdown", event => {
  find("pad").setPointerCapture(event.pointerId);
  draw(event);
});
find("pad").addEventListener("pointermove", event => { if (pen) draw(event); });
for (const end of ["pointerup", "pointercancel"]) find("pad").addEventListener(end, () => { pen = null; });
find("clear").addEventListener("click", () => { pad.fill(0); answer(); });
find("example").addEventListener("click", async () => {
  const {examples} = await model;
  show(examples[shown++ % examples.length]);
});
model.then(({told}) => {
  find("about").textContent = `${told.question} ${told.library}, as ONNX, by ONNX Runtime Web (MIT licence).`;
  document.body.dataset.ready = "yes";
  return answer();
}).catch(error => { find("answer").textContent = `The model could not be loaded: ${error.message}`; });
