// Looks at the page that it is evaluated in, and gives what stands in the way of people: a list of sentences.
(() => {
  const faults = [];
  const all = [...document.querySelectorAll('body *')].filter(isShown);

  function isShown(node) {
    return node.checkVisibility({ visibilityProperty: true }) && node.getClientRects().length > 0;
  }

  function describe(node) {
    const id = node.id === '' ? '' : `#${node.id}`;
    return `<${node.localName}${id} class="${node.className}"> ${node.textContent.trim().slice(0, 40)}`;
  }

  function textOf(ids) {
    return (ids ?? '')
      .split(' ')
      .map((id) => document.getElementById(id)?.textContent ?? '')
      .join(' ')
      .trim();
  }

  function nameOf(node) {
    const label = [...(node.labels ?? [])].map(({ textContent }) => textContent).join(' ');
    const content = node.matches('input, select, progress') ? '' : node.textContent;
    const names = [
      node.getAttribute('aria-label'),
      textOf(node.getAttribute('aria-labelledby')),
      label,
      content,
    ];
    return names.find((name) => (name ?? '').trim() !== '') ?? '';
  }

  // Names of what can be used, and ids that lead somewhere.
  const controls = all.filter((node) => node.matches('a[href], button, input, select, summary, progress'));
  for (const node of controls) if (nameOf(node) === '') faults.push(`No name: ${describe(node)}`);
  for (const node of all.filter((one) => one.matches('input, select'))) {
    if (node.labels.length === 0) faults.push(`No label: ${describe(node)}`);
  }
  for (const node of controls) {
    const { width, height } = node.getBoundingClientRect();
    const isInText = node.matches('a, .skip');
    if (!isInText && node.localName !== 'progress' && (width < 24 || height < 24)) {
      faults.push(`Smaller than 24 px: ${describe(node)}`);
    }
  }
  for (const name of ['aria-labelledby', 'aria-describedby', 'for']) {
    for (const node of document.querySelectorAll(`[${name}]`)) {
      for (const id of node.getAttribute(name).split(' ')) {
        if (document.getElementById(id) === null) faults.push(`${name} leads nowhere: ${describe(node)}`);
      }
    }
  }
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  for (const id of new Set(ids)) {
    if (ids.filter((other) => other === id).length > 1) faults.push(`More than one #${id}`);
  }

  // Headings in order, and landmarks.
  const levels = all
    .filter((node) => node.matches('h1, h2, h3, h4, h5, h6'))
    .map((node) => Number(node.localName[1]));
  if (levels.filter((level) => level === 1).length !== 1) faults.push('Not one h1');
  levels.forEach((level, i) => {
    if (i > 0 && level > levels[i - 1] + 1) faults.push(`h${level} behind h${levels[i - 1]}`);
  });
  for (const landmark of ['header', 'main', 'footer', 'nav']) {
    if (document.querySelector(landmark) === null) faults.push(`No <${landmark}>`);
  }
  for (const node of document.querySelectorAll('section, nav')) {
    if (!node.hasAttribute('aria-label') && textOf(node.getAttribute('aria-labelledby')) === '') {
      faults.push(`A landmark without a name: ${describe(node)}`);
    }
  }
  if (document.documentElement.lang === '') faults.push('No language');
  for (const node of document.querySelectorAll('ul > :not(li), ol > :not(li)'))
    faults.push(`In a list: ${describe(node)}`);
  for (const node of document.querySelectorAll('[style], [onclick], script:not([src]), style')) {
    faults.push(`Inline: ${describe(node)}`);
  }

  // Contrast of text as WCAG 2.2 has it: 4.5, or 3 where it is large.
  function rgba(color) {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  }

  function luminance([red, green, blue]) {
    const [r, g, b] = [red, green, blue].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function backgroundOf(node) {
    for (let one = node; one !== null; one = one.parentElement) {
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  }

  function contrast(one, other) {
    const [bright, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (bright + 0.05) / (dark + 0.05);
  }

  for (const node of all) {
    const hasText = [...node.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim() !== '');
    if (!hasText && !node.matches('input, select')) continue;
    const { color, fontSize, fontWeight } = getComputedStyle(node);
    const size = parseFloat(fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700);
    const found = contrast(rgba(color), backgroundOf(node));
    if (found < (isLarge ? 3 : 4.5)) faults.push(`Contrast ${found.toFixed(2)}: ${describe(node)}`);
    // What can be used has an edge that is seen, or is a link, or has a background of its own.
    if (node.matches('input:not([type=range]), select')) {
      const edge = contrast(rgba(getComputedStyle(node).borderTopColor), backgroundOf(node.parentElement));
      if (edge < 3) faults.push(`Edge ${edge.toFixed(2)}: ${describe(node)}`);
    }
  }

  // Cut off at the side.
  for (const node of all) {
    const { right, left } = node.getBoundingClientRect();
    const isUnseen = node.closest('.unseen, .skip, .state') !== null;
    if (!isUnseen && (right > innerWidth + 1 || left < -1))
      faults.push(`Outside of the window: ${describe(node)}`);
  }
  return [...new Set(faults)];
})();
