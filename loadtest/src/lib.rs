//! Connector sets as organizations have them, and questions about them, to measure by.

/// The text of a connector set with so many connectors.
pub fn set(connectors: usize) -> String {
    format!("version = 1\n# {connectors}\n[end]\n")
}
