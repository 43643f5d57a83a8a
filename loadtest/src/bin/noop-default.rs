//! A server that answers without deciding, as tonic's documentation shows how to write one: in
//! tokio's default runtime, with the system's allocator.

use std::error::Error;

use postern::rpc::pb::policy_decision_service_server::PolicyDecisionServiceServer;
use postern_loadtest::noop::Options;
use tonic::transport::{Server, server::TcpIncoming};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(std::env::args().skip(1))?;
    let incoming = TcpIncoming::from(options.listener().await?).with_nodelay(Some(true));
    Server::builder()
        .add_service(PolicyDecisionServiceServer::new(options.service()))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
