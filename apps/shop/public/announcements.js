import { one, setText } from './dom.js';
import { changeOnce } from './requests.js';

const MAX_SHOWN = 12;

/** What people say to everybody who looks. */
export class Announcements {
  follow(live) {
    live.join('announcements', { onMessage: (data) => this.#add(data) });
    one('#announce').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send(one('#announcement'));
    });
  }

  #add(data) {
    const item = document.createElement('li');
    item.textContent = typeof data === 'string' ? data : JSON.stringify(data);
    const list = one('#announcements');
    list.prepend(item);
    while (list.children.length > MAX_SHOWN) list.lastElementChild.remove();
  }

  async #send(field) {
    if (field.value.trim() === '') return;
    setText(one('#announce-problem'), '');
    try {
      await changeOnce('POST', 'broadcast', { body: { data: field.value } });
      field.value = '';
    } catch {
      setText(one('#announce-problem'), 'It could not be said. Try again.');
    }
  }
}
