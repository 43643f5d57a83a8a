//! `postern log`, on logs of real decisions.

mod fixture;
mod follow;
mod packed;
mod progress;
mod show;
mod summary;
mod written;
