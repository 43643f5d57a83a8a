//! A server that answers without deciding, in the runtime that Postern serves in.

use std::error::Error;

use postern::rpc::pb::policy_decision_service_server::PolicyDecisionServiceServer;
use postern_loadtest::noop::Options;
use tonic::transport::{Server, server::TcpIncoming};

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let incoming = TcpIncoming::from(options.listener().await?).with_nodelay(Some(true));
    Server::builder()
        .add_service(PolicyDecisionServiceServer::new(options.service()))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
