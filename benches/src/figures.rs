//! The figures that are quoted: what divan measures one by one, here beside each other in one run,
//! so that ratios mean something; as a table and as JSON.

pub mod decisions;
pub mod loading;
pub mod peers;
pub mod report;
pub mod timing;
