//! A collector of traces that keeps nothing: it takes spans over OTLP/gRPC, and prints its address.

use std::{error::Error, io::Write as _};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

#[derive(Clone, Copy, Debug)]
struct Nothing;

#[tonic::async_trait]
impl TraceService for Nothing {
    async fn export(
        &self,
        _: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()?;
    Server::builder()
        .add_service(TraceServiceServer::new(Nothing))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}
