/** So many of a product, in a cart or an order. */
export interface Line {
  productId: string;
  /** As the product was called then. */
  name: string;
  quantity: number;
  /** In cents, as it was then. */
  unitPrice: number;
}

/** In cents. */
export function totalOf(lines: readonly Line[]): number {
  return lines.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0);
}

/** The order of its properties is fixed, whatever it comes from. */
export function toLine({ productId, name, quantity, unitPrice }: Line): Line {
  return { productId, name, quantity, unitPrice };
}
