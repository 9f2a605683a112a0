'use strict';
const frame = document.getElementById('report'), state = document.getElementById('state');
let version = -1, waiting = null;

// --- what a reader opened, filtered and looked at in the report, to find it again in the next one

const titled = page => [...page.querySelectorAll('section details')].map(block => [
  `${block.closest('section').id}: ${(block.querySelector('h3') || block.firstElementChild).textContent}`, block,
  block.querySelector('input[type=search]')]);

function kept() {
  try {
    const page = frame.contentDocument, { scrollY, location } = frame.contentWindow;
    const blocks = titled(page).map(([title, block, filter]) => [title, { open: block.open, filter: filter?.value }]);
    return { blocks: new Map(blocks), find: page.getElementById('find').value, at: scrollY, hash: location.hash };
  } catch (error) { return null; }
}

function write(box, text) {
  if (!box || !text) return;
  box.value = text;
  box.dispatchEvent(new Event('input'));
}

function found(before) {
  const page = frame.contentDocument;
  for (const [title, block] of titled(page).filter(([title]) => before.blocks.has(title))) {
    const { open, filter } = before.blocks.get(title);
    block.open = open;
    if (filter) {
      block.dispatchEvent(new Event('toggle')); // fills it now, in sight or not
      write(block.querySelector('input[type=search]'), filter);
    }
  }
  write(page.getElementById('find'), before.find);
  setTimeout(() => { // once what opened is filled
    frame.contentWindow.scrollTo(0, before.at);
    waiting = null;
  }, 50);
}

function show(seen) {
  state.textContent = seen.message;
  document.getElementById('count').textContent = seen.files.length;
  const rows = seen.files.map(file => {
    const row = document.createElement('tr');
    for (const text of [file.name, file.state, file.detail]) {
      row.appendChild(document.createElement('td')).textContent = text;
    }
    return row;
  });
  document.getElementById('files').replaceChildren(...rows);
  if (seen.version !== version && seen.report) {
    waiting = version < 0 ? null : waiting || kept(); // a page that is still being loaded has nothing to keep
    const before = waiting;
    version = seen.version;
    frame.onload = () => { if (before) found(before); };
    frame.src = `run/report.html?version=${version}${before ? before.hash : ''}`;
  }
}
const events = new EventSource('events');
events.onmessage = event => show(JSON.parse(event.data));
events.onerror = () => { state.textContent = 'the watch has ended, or cannot be reached'; };
