//! Postern answers mail gateways: may this mail pass, given what was agreed with this partner?
//!
//! The core is pure: [`mail`] has the words of mail, [`policy`] decides, [`callers`] knows who may ask
//! what, [`config`] turns text into what they decide by. Around it stand the edges: [`source`] reads and watches the files, [`live`]
//! holds what is in force, [`rpc`] answers calls, [`admin`] shows the state, [`telemetry`] counts
//! and logs, [`bridge`] speaks with MTAs that do not speak gRPC, [`app`] puts it together, [`cli`] is the command. ARCHITECTURE.md tells who may import
//! whom.

pub mod admin;
pub mod app;
pub mod bridge;
pub mod callers;
pub mod cli;
pub mod config;
pub mod live;
pub mod mail;
pub mod policy;
pub mod rpc;
pub mod source;
pub mod telemetry;
