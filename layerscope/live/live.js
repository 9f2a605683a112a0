'use strict';
const frame = document.getElementById('report'), state = document.getElementById('state');
let version = -1;
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
    version = seen.version;
    let at = 0;
    try { at = frame.contentWindow.scrollY; } catch (error) { at = 0; }
    frame.onload = () => { try { frame.contentWindow.scrollTo(0, at); } catch (error) { return; } };
    frame.src = 'run/report.html?version=' + version;
  }
}
const events = new EventSource('events');
events.onmessage = event => show(JSON.parse(event.data));
events.onerror = () => { state.textContent = 'the watch has ended, or cannot be reached'; };
