/** What the parts of the page need to show something. Text is only ever set as text. */

export function one(selector, within = document) {
  return within.querySelector(selector);
}

export function fromTemplate(id) {
  return one(`#${id}`).content.firstElementChild.cloneNode(true);
}

/** Leaves what is the same alone, so that nothing is read out twice. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes the children of a node those of the items. A node is made once for each key and then only updated, so that the
 * focus stays where it is.
 */
export function showList(parent, items, { key, create, update }) {
  const before = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const nodes = items.map((item) => {
    const id = String(key(item));
    const node = before.get(id) ?? create(item);
    node.dataset.key = id;
    before.delete(id);
    update(node, item);
    return node;
  });
  for (const node of before.values()) node.remove();
  for (const [i, node] of nodes.entries()) {
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
  }
}

/** Whether somebody sees at least a part of it. */
export function isInView(node) {
  const { top, bottom } = node.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

/** A button that can be reached with the keyboard, and that does nothing for now. */
export function setDisabled(button, disabled) {
  button.setAttribute('aria-disabled', String(disabled));
}

export function isDisabled(button) {
  return button.getAttribute('aria-disabled') === 'true';
}

/** Taps that are closer belong together. Clicks are counted by the system, which knows how fast somebody clicks. */
const DOUBLE_TAP_MS = 500;

/** What a button does. While it is at it, it does not begin anew. */
export function onPress(button, action) {
  let isBusy = false;
  button.addEventListener('click', async () => {
    if (isBusy || isDisabled(button)) return;
    isBusy = true;
    button.setAttribute('aria-busy', 'true');
    try {
      await action();
    } finally {
      isBusy = false;
      button.removeAttribute('aria-busy');
    }
  });
}

/**
 * As `onPress`, for what costs money: a double click counts once, and so does a key that is held, also where the first
 * press was answered before the second came.
 */
export function onSinglePress(button, action) {
  let tappedAt = -Infinity;
  button.addEventListener('click', (event) => {
    let isSame = event.detail > 1;
    if (event.pointerType === 'touch') {
      isSame ||= event.timeStamp - tappedAt < DOUBLE_TAP_MS;
      tappedAt = event.timeStamp;
    }
    if (isSame) event.stopImmediatePropagation();
  });
  button.addEventListener('keydown', (event) => {
    if (event.repeat && event.key === 'Enter') event.preventDefault();
  });
  onPress(button, action);
}

/** Lets a cell light up for a moment, also when it is lit already. */
export function light(node) {
  node.classList.remove('changed');
  // Without the reflow in between the animation would not begin anew.
  node.getBoundingClientRect();
  node.classList.add('changed');
}
