/** A collection inside the transaction of a projection. What is read is locked until the transaction is over. */
export interface WritableCollection<T extends object> {
  get(id: string): Promise<T | undefined>;
  /** In the order of the ids. To be locked in one order by all, read what you need by one call. */
  getMany(ids: readonly string[]): Promise<(T | undefined)[]>;
  /** Writes the document, whether or not it was there. */
  set(id: string, document: T): Promise<void>;
  delete(id: string): Promise<void>;
  /** Replaces the document (null when there is none) by what `fn` returns; null deletes it. */
  update(id: string, fn: (document: T | null) => T | null | Promise<T | null>): Promise<T | null>;
}
