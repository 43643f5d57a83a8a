//! Postern answers mail gateways: may this mail pass, given what was agreed with this partner?
//!
//! The core is pure: [`mail`] has the words of mail, [`policy`] decides, [`config`] turns text into
//! what it decides by. ARCHITECTURE.md tells who may import whom.

pub mod config;
pub mod live;
pub mod mail;
pub mod policy;
