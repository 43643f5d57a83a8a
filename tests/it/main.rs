//! The integration tests, one binary.

#[cfg(test)]
mod bridge;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod connect;
#[cfg(test)]
mod decision_log;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod log;
#[cfg(test)]
mod mta;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod otlp;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod reloading;
#[cfg(test)]
mod running;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod sentences;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod transport;
