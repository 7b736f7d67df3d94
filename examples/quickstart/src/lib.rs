//! A guest reads a history from stdin and emits it; subscribers and a watching guest receive.
