import { one, setText } from './dom.js';
import { Refusal } from './requests.js';

/** What people fill in, by the names that the shop has for it. */
const FIELDS = { name: 'Tell us your name.', email: 'Tell us an e-mail address, such as ada@example.org.' };

/** The form that makes an order of the cart. */
export class CheckoutForm {
  #cart;
  #customer;
  #onOrder;
  #isBusy = false;

  constructor({ cart, customer, onOrder }) {
    this.#cart = cart;
    this.#customer = customer;
    this.#onOrder = onOrder;
    this.fill();
    one('#checkout').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit();
    });
    for (const field of Object.keys(FIELDS)) input(field).addEventListener('input', () => blame(field, ''));
  }

  /** With who bought the last time. */
  fill() {
    const { name = '', email = '' } = this.#customer.known ?? {};
    input('name').value = name;
    input('email').value = email;
  }

  async #submit() {
    if (this.#isBusy || !isFilledIn()) return;
    this.#isBusy = true;
    const button = one('#cart-confirm');
    button.setAttribute('aria-busy', 'true');
    one('#checkout-problem').textContent = '';
    try {
      const name = input('name').value.trim();
      const customerId = await this.#customer.save({ name, email: input('email').value.trim() });
      const hadFocus = one('#checkout').contains(document.activeElement);
      const { orderId } = await this.#cart.confirm({ card: one('#card').value, customerId });
      // The form is gone.
      if (hadFocus) one('#ordered-link').focus();
      this.#onOrder(orderId);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      showRefusal(error);
    } finally {
      this.#isBusy = false;
      button.removeAttribute('aria-busy');
    }
  }
}

function showRefusal({ message, errors }) {
  const fault = errors.find(({ path }) => path in FIELDS);
  if (fault === undefined) setText(one('#checkout-problem'), message);
  else {
    // Some are sentences, others go on from the name of the field.
    blame(fault.path, fault.message.startsWith('must') ? `It ${fault.message}` : fault.message);
    input(fault.path).focus();
  }
}

/** The first field that is not in order gets the focus, and says what is missing. */
function isFilledIn() {
  const wrong = Object.keys(FIELDS).filter((field) => !isValid(input(field)));
  for (const field of Object.keys(FIELDS)) blame(field, wrong.includes(field) ? FIELDS[field] : '');
  if (wrong.length > 0) input(wrong[0]).focus();
  return wrong.length === 0;
}

function isValid(field) {
  return field.value.trim() !== '' && field.checkValidity();
}

function blame(field, problem) {
  setText(one(`#customer-${field}-problem`), problem);
  input(field).setAttribute('aria-invalid', String(problem !== ''));
}

function input(field) {
  return one(`#customer-${field}`);
}
