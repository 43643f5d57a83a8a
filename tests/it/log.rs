//! `postern log`, on logs of real decisions.

mod fixture;
mod follow;
mod show;
mod summary;
mod written;
