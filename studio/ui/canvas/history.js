// Undo and redo: a bounded list of reversible changes. A change is {undo(), redo(), name}.

export class History {
  constructor(limit = 200) {
    this.limit = limit;
    this.done = [];
    this.undone = [];
    this.onchange = () => {};
  }

  /** Record a change that has already happened. */
  push(change) {
    this.done.push(change);
    if (this.done.length > this.limit) this.done.shift();
    this.undone.length = 0;
    this.onchange();
  }

  undo() {
    const change = this.done.pop();
    if (!change) return false;
    change.undo();
    this.undone.push(change);
    this.onchange();
    return true;
  }

  redo() {
    const change = this.undone.pop();
    if (!change) return false;
    change.redo();
    this.done.push(change);
    this.onchange();
    return true;
  }

  clear() {
    this.done.length = 0;
    this.undone.length = 0;
    this.onchange();
  }
}
