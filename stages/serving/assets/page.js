// What a script adds to a page that works without it: answers in place, drawing, arrow keys, copying.
'use strict';
document.documentElement.classList.add('has-script');

// ── answers in place: the same request as without a script, of which only the parts that change are taken over ──────
let latest = 0;
async function ask(form, submitter, isQuiet) {
  const turn = ++latest;
  form.setAttribute('aria-busy', 'true');
  try {
    const response = await fetch(form.action, { method: 'POST', body: new FormData(form, submitter) });
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    if (turn !== latest) return;
    const parts = form.dataset.live.split(' ').map(id => [document.getElementById(id), page.getElementById(id)]);
    if (parts.some(([, part]) => !part)) throw new Error('another page');
    parts.forEach(([old, part]) => old.replaceChildren(...part.childNodes));
    showErrors(form, page);
    if (!isQuiet) parts[0][0].scrollIntoView({ block: 'nearest' });
  } catch {
    if (turn === latest) form.submit(); // whatever it was, the browser shows it
  } finally {
    form.removeAttribute('aria-busy');
  }
}

// An error stands at its field; what was typed stays as it is.
function showErrors(form, page) {
  for (const input of form.querySelectorAll('input, select, textarea')) {
    const told = input.id && page.getElementById(input.id);
    if (!told) continue;
    const old = document.getElementById(`${input.id}-error`), error = page.getElementById(`${input.id}-error`);
    for (const name of ['aria-invalid', 'aria-describedby']) {
      if (told.hasAttribute(name)) input.setAttribute(name, told.getAttribute(name)); else input.removeAttribute(name);
    }
    input.closest('.field')?.classList.toggle('wrong', Boolean(error));
    old?.remove();
    if (error) (input.closest('.box') ?? input.closest('.grid')).before(error);
    if (error) input.closest('details')?.setAttribute('open', '');
  }
}

document.addEventListener('submit', event => {
  const form = event.target, submitter = event.submitter;
  if (!form.dataset.live || submitter?.hasAttribute('data-native')) return;
  event.preventDefault();
  ask(form, submitter, false);
});

// ── numbers: arrow keys move them by a step ─────────────────────────────────────────────────────────────────────────
document.addEventListener('keydown', event => {
  const input = event.target, step = Number(input.dataset?.step);
  const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (!step || !way || input.value.trim() !== '' && !Number.isFinite(Number(input.value))) return;
  event.preventDefault();
  const decimals = Math.max(0, -Math.floor(Math.log10(step)), (input.value.split('.')[1] ?? '').length);
  input.value = Number((Number(input.value) + way * step).toFixed(decimals));
});

// ── images: draw with a pen, move with arrow keys ───────────────────────────────────────────────────────────────────
for (const grid of document.querySelectorAll('.grid')) {
  const high = Number(grid.dataset.high), form = grid.closest('form');
  const rows = [...grid.querySelectorAll('.cells')].map(row => [...row.children]);
  const place = cell => rows.flatMap((row, y) => row.includes(cell) ? [[y, row.indexOf(cell)]] : [])[0];
  const isCell = cell => cell?.matches?.('input.cell');
  let isErasing = false, isDrawing = false;

  function shade(cell) {
    const share = Math.min(Math.max(Number(cell.value) / high || 0, 0), 1);
    cell.className = `cell level-${Math.round(8 * share)}`;
  }
  function set(cell, value) {
    if (!isCell(cell)) return;
    cell.value = isErasing ? 0 : Math.max(Number(cell.value) || 0, Math.round(value));
    shade(cell);
  }
  function draw(x, y) { // ink where the pen is, less of it in the cells beside, by how near they are
    const cell = document.elementFromPoint(x, y);
    if (!grid.contains(cell) || !cell.classList.contains('cell')) return;
    const [row, column] = place(cell), box = cell.getBoundingClientRect();
    const across = (x - box.left) / box.width - 0.5, down = (y - box.top) / box.height - 0.5;
    set(cell, high);
    if (isErasing) return;
    set(rows[row][column + Math.sign(across)], high * Math.abs(across));
    set(rows[row + Math.sign(down)]?.[column], high * Math.abs(down));
  }

  grid.addEventListener('pointerdown', event => {
    if (event.button) return;
    isDrawing = true;
    grid.setPointerCapture(event.pointerId);
    draw(event.clientX, event.clientY);
  });
  grid.addEventListener('pointermove', event => {
    if (!isDrawing) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) draw(each.clientX, each.clientY);
    draw(event.clientX, event.clientY);
  });
  for (const end of ['pointerup', 'pointercancel']) grid.addEventListener(end, event => {
    if (!isDrawing) return;
    isDrawing = false;
    const cell = document.elementFromPoint(event.clientX, event.clientY);
    if (isCell(cell)) cell.focus();
    ask(form, null, true);
  });
  grid.addEventListener('input', event => shade(event.target));
  grid.addEventListener('keydown', event => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!way || !isCell(event.target)) return;
    event.preventDefault();
    let [row, column] = place(event.target);
    do [row, column] = [row + way[0], column + way[1]]; while (rows[row]?.[column] && !isCell(rows[row][column]));
    rows[row]?.[column]?.focus();
    rows[row]?.[column]?.select();
  });
  for (const tool of grid.closest('.image').querySelectorAll('[data-tool]')) tool.addEventListener('click', () => {
    if (tool.dataset.tool === 'clear') {
      for (const cell of grid.querySelectorAll('input')) { cell.value = 0; shade(cell); }
    } else {
      isErasing = !isErasing;
      tool.setAttribute('aria-pressed', String(isErasing));
    }
  });
}

// ── pictures: one that is chosen is shown and answered at once ──────────────────────────────────────────────────────
for (const input of document.querySelectorAll('.picture input[type=file]')) input.addEventListener('change', () => {
  const file = input.files[0], image = input.closest('.picture').querySelector('img'), reader = new FileReader();
  if (!file) return;
  reader.addEventListener('load', () => { image.src = reader.result; image.alt = 'the picture that is asked about'; image.hidden = false; });
  reader.readAsDataURL(file);
  ask(input.form, null, true);
});

// ── copying ─────────────────────────────────────────────────────────────────────────────────────────────────────────
document.addEventListener('click', async event => {
  const button = event.target.closest?.('[data-copy]');
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = 'Copied';
});
