//! The integration tests, one binary.

#[cfg(test)]
mod laws;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod sentences;
