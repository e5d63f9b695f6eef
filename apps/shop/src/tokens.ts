/** The token under which the {@link ShopConfig} is injected. */
export const SHOP_CONFIG = Symbol('SHOP_CONFIG');

/** The token under which the {@link PaymentOptions} are injected. */
export const PAYMENT_OPTIONS = Symbol('PAYMENT_OPTIONS');

/** The token under which the process' {@link Readiness} is injected. */
export const READINESS = Symbol('READINESS');
