//! Real mail gateways, started by the tests on loopback, and what they are tried with.

pub(crate) mod pki;
pub(crate) mod place;
pub(crate) mod postfix;
pub(crate) mod sendmail;
pub(crate) mod sink;
pub(crate) mod smtp;

mod dns;
mod exim;
mod failing;
mod haraka;
mod harness;
mod inbound;
mod lines;
mod milter;
mod outbound;
mod restart;
mod socketmap;
mod swaks;
