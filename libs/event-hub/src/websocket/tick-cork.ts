/** As much of a net.Socket as is needed here. */
export interface Corkable {
  cork(): void;
  uncork(): void;
}

/**
 * Holds back what is written to sockets until the current tick of the event loop is over, so that several messages to
 * one socket leave in one system call.
 */
export class TickCork {
  private sockets = new Set<Corkable>();

  hold(socket: Corkable): void {
    if (this.sockets.has(socket)) return;
    socket.cork();
    if (this.sockets.size === 0) process.nextTick(() => this.release());
    this.sockets.add(socket);
  }

  private release(): void {
    const { sockets } = this;
    this.sockets = new Set();
    for (const socket of sockets) socket.uncork();
  }
}
