'use strict';
// Zoom: all drawings of a job show the same part of its time. Hover: a title is shown at once, also to a finger.
for (const job of document.querySelectorAll('section.job')) {
  const gutter = Number(job.dataset.gutter);
  const drawings = [...job.querySelectorAll('svg.time')];
  const stretched = drawings.map((drawing) => drawing.querySelector('svg.z'));
  const placed = drawings.flatMap((drawing) => [...drawing.querySelectorAll('[data-x]')]);
  let from = 0;
  let wide = 1000;

  const show = () => {
    wide = Math.min(1000, Math.max(4, wide));
    from = Math.min(1000 - wide, Math.max(0, from));
    // Ticks are so far apart at each level, in parts of the axis; these must be 64 pixels.
    const room = 64 * wide / (drawings[0].clientWidth || 1000);
    const level = Math.max(0, [250, 125, 25, 5].filter((apart) => apart >= room).length - 1);
    for (const part of stretched) {
      part.setAttribute('viewBox', `${from} 0 ${wide} ${part.viewBox.baseVal.height}`);
    }
    for (const one of placed) {
      const share = (one.dataset.x - from) / wide;
      const isTick = one.classList.contains('tick');
      const isShown = share >= 0 && share <= 1 && (!isTick || Number(one.dataset.level) === level);
      one.setAttribute('x', `${gutter + share * (100 - gutter)}%`);
      one.style.display = isShown ? 'inline' : 'none';
    }
  };
  const zoom = (factor, around) => {
    from = around - (around - from) * factor;
    wide *= factor;
    show();
  };
  addEventListener('resize', show);
  show();
  const actions = {
    in: () => zoom(0.5, from + wide / 2),
    out: () => zoom(2, from + wide / 2),
    all: () => zoom(1000, 0),
  };
  for (const button of job.querySelectorAll('[data-zoom]')) {
    button.addEventListener('click', actions[button.dataset.zoom]);
  }
  for (const drawing of drawings) {
    const place = (event) => {
      const box = drawing.getBoundingClientRect();
      const left = box.width * gutter / 100;
      return from + (event.clientX - box.left - left) / (box.width - left) * wide;
    };
    let grip = null;
    drawing.addEventListener('wheel', (event) => {
      if (!event.ctrlKey && !event.shiftKey) return;
      event.preventDefault();
      zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, place(event));
    }, { passive: false });
    drawing.addEventListener('dblclick', (event) => zoom(0.4, place(event)));
    drawing.addEventListener('pointerdown', (event) => { grip = place(event); });
    drawing.addEventListener('pointermove', (event) => {
      if (grip === null || !event.buttons || wide === 1000) return;
      from += grip - place(event);
      show();
    });
    for (const end of ['pointerup', 'pointerleave', 'pointercancel']) {
      drawing.addEventListener(end, () => { grip = null; });
    }
  }
}

const tip = document.getElementById('tip');
document.addEventListener('pointerover', (event) => {
  const one = event.target.closest?.('svg [class]');
  const title = one?.querySelector(':scope > title') ?? one?.parentElement?.querySelector(':scope > title');
  if (title) {
    title.parentElement.dataset.tip = title.textContent;
    title.remove();
  }
  const text = event.target.closest?.('[data-tip]')?.dataset.tip;
  tip.hidden = !text;
  tip.textContent = text ?? '';
});
document.addEventListener('pointermove', (event) => {
  if (tip.hidden) return;
  const right = event.clientX > innerWidth / 2;
  tip.style.left = right ? 'auto' : `${event.clientX + 14}px`;
  tip.style.right = right ? `${innerWidth - event.clientX + 10}px` : 'auto';
  tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
});
