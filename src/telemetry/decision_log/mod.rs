//! The decision log, as far as it is octets: what waits, and how it gets to a file.
//!
//! A decision leaves a record in a [`queue`] and goes on: it waits for nothing and writes nothing.
//! The [`Writer`], on a thread of its own, takes the records, has lines made of them, and adds these
//! to the output. What a line says is none of its business.

mod certificates;
mod feed;
mod file;
mod output;
mod pending;
pub mod queue;
mod state;
mod writer;

pub use self::{
    certificates::{Certificates, Expiry, Presented},
    feed::Feed,
    file::rotated,
    output::{Output, OutputError},
    queue::Queue,
    state::{Failing, State},
    writer::Writer,
};
