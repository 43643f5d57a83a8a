//! The contract as generated code. Only `rpc`, and who speaks to a server through `rpc::client`,
//! knows these types (I3).

tonic::include_proto!("postern.v1");

/// The contract as a descriptor set, with all that it imports.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
