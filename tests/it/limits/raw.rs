//! Peers that speak HTTP/2 call by call, and frame by frame.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use postern::rpc::pb;
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};
use tonic::{Code, Status};

use crate::running::{PATIENCE, Running, block_on, plaintext};

/// A connection on which calls are made octet by octet.
pub(crate) struct Raw {
    sender: SendRequest<Bytes>,
    listen: SocketAddr,
    driver: JoinSet<Result<(), h2::Error>>,
}

impl Raw {
    pub(crate) async fn dial(running: &Running) -> Self {
        Self::dial_as(running, &h2::client::Builder::new()).await
    }

    /// The same with other settings of HTTP/2.
    pub(crate) async fn dial_as(running: &Running, settings: &h2::client::Builder) -> Self {
        let tcp = tokio::net::TcpStream::connect(running.listen);
        Self::over(tcp.await.unwrap(), running.listen, settings).await
    }

    /// The same over `io`.
    pub(crate) async fn over<I>(io: I, listen: SocketAddr, settings: &h2::client::Builder) -> Self
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = settings.handshake(io).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Self {
            sender,
            listen,
            driver,
        }
    }

    /// The same connection for somebody else, for as long as this one lives.
    pub(crate) fn share(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            listen: self.listen,
            driver: JoinSet::new(),
        }
    }

    /// Begins a call whose message comes later.
    pub(crate) fn begin(&mut self, path: &str) -> Begun {
        self.begin_with(path, None)
    }

    /// The same for a call that is to be answered within this time.
    pub(crate) fn begin_within(&mut self, path: &str, timeout: &str) -> Begun {
        self.begin_with(path, Some(("grpc-timeout", timeout)))
    }

    /// The same with one more header.
    pub(crate) fn begin_with(&mut self, path: &str, header: Option<(&str, &str)>) -> Begun {
        let mut request = http::Request::post(format!("http://{}{path}", self.listen))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(()).unwrap();
        let (answer, body) = self.sender.send_request(request, false).unwrap();
        Begun { answer, body }
    }

    /// The answer to a message of these octets.
    pub(crate) async fn ask(&mut self, path: &str, message: &[u8]) -> Answer {
        self.ready().await;
        self.begin(path).send_all(message).await
    }

    /// Waits until there may be one more call.
    pub(crate) async fn ready(&mut self) {
        self.sender = self.sender.clone().ready().await.unwrap();
    }

    /// The answer to a message.
    pub(crate) async fn ask_for(
        &mut self,
        path: &str,
        message: &pb::CheckInboundRequest,
    ) -> Answer {
        self.ask(path, &message.encode_to_vec()).await
    }

    /// How many calls the server lets it have.
    pub(crate) fn most_calls(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Waits until the server ends the connection, and says how.
    pub(crate) async fn is_sent_away(&mut self) -> End {
        let ended = tokio::time::timeout(PATIENCE, self.driver.join_next());
        End(ended.await.expect("it goes on").unwrap().unwrap())
    }
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct End(Result<(), h2::Error>);

impl End {
    /// Whether that was all right: a GOAWAY without a fault, and then the end.
    pub(crate) fn is_no_error(&self) -> bool {
        match &self.0 {
            Ok(()) => true,
            Err(error) => error.reason() == Some(h2::Reason::NO_ERROR),
        }
    }
}

/// A call whose message has not come whole.
pub(crate) struct Begun {
    answer: ResponseFuture,
    body: h2::SendStream<Bytes>,
}

impl Begun {
    /// Sends a part of the message.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        let octets = Bytes::copy_from_slice(octets);
        self.body.send_data(octets, false).unwrap();
    }

    /// Sends the message, and takes the answer.
    pub(crate) async fn end(self, message: &pb::CheckInboundRequest) -> Answer {
        self.send_all(&message.encode_to_vec()).await
    }

    async fn send_all(mut self, message: &[u8]) -> Answer {
        // A call that is turned away may be answered and closed before its message has left.
        let _ = self.body.send_data(framed(message).into(), true);
        self.answer().await
    }

    pub(crate) async fn answer(self) -> Answer {
        self.try_answer().await.unwrap()
    }

    pub(crate) async fn try_answer(self) -> Result<Answer, h2::Error> {
        taken(self.answer).await
    }

    /// Sends the rest of the message, and takes the answer.
    pub(crate) async fn finish(mut self, octets: &[u8]) -> Answer {
        // As above.
        let octets = Bytes::copy_from_slice(octets);
        let _ = self.body.send_data(octets, true);
        self.answer().await
    }

    /// What comes, and what goes.
    pub(crate) fn split(self) -> (ResponseFuture, h2::SendStream<Bytes>) {
        (self.answer, self.body)
    }
}

/// All of an answer that is to come.
pub(crate) async fn taken(answer: ResponseFuture) -> Result<Answer, h2::Error> {
    let taking = async {
        let (head, mut body) = answer.await?.into_parts();
        let mut octets = Vec::new();
        while let Some(part) = body.data().await {
            let part = part?;
            let _ = body.flow_control().release_capacity(part.len());
            octets.extend(part);
        }
        Ok(Answer {
            headers: head.headers,
            octets,
            trailers: body.trailers().await?,
        })
    };
    tokio::time::timeout(PATIENCE, taking)
        .await
        .expect("there is no answer")
}

/// All of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: http::HeaderMap,
    pub(crate) octets: Vec<u8>,
    pub(crate) trailers: Option<http::HeaderMap>,
}

impl Answer {
    pub(crate) fn status(&self) -> Status {
        let headers = self.trailers.as_ref().unwrap_or(&self.headers);
        Status::from_header_map(headers).unwrap_or(Status::new(Code::Unknown, "no status"))
    }

    pub(crate) fn inbound(&self) -> pb::CheckInboundResponse {
        pb::CheckInboundResponse::decode(&self.octets[5..]).unwrap()
    }
}

/// A question of a stream.
pub(crate) fn question(id: u64) -> pb::CheckStreamRequest {
    let question = Some(pb::check_stream_request::Question::Inbound(plaintext()));
    pb::CheckStreamRequest { id, question }
}

/// A message behind the five octets that gRPC puts before it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// A connection on which every frame is written by hand.
pub(crate) struct Frames {
    pub(crate) tcp: TcpStream,
    listen: SocketAddr,
}

/// A frame as it came.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM or a GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

impl Frames {
    /// Speaks HTTP/2 far enough to make calls.
    pub(crate) fn dial(running: &Running) -> Self {
        Self::dial_with(running, &[])
    }

    /// The same with these settings, each a key and a value.
    pub(crate) fn dial_with(running: &Running, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent(running);
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let octets = settings
            .iter()
            .flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat());
        let octets: Vec<_> = octets.collect();
        peer.frame(SETTINGS, 0, 0, &octets).unwrap();
        peer.frame(SETTINGS, ACK, 0, &[]).unwrap();
        peer
    }

    /// Says nothing.
    pub(crate) fn silent(running: &Running) -> Self {
        let connecting = async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            // Why so little: what is not read fills it soon.
            socket.set_recv_buffer_size(16 * 1024)?;
            socket.connect(running.listen).await?.into_std()
        };
        let tcp = block_on(connecting).unwrap();
        tcp.set_nonblocking(false).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            tcp,
            listen: running.listen,
        }
    }

    pub(crate) fn send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.tcp.write_all(octets)
    }

    pub(crate) fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        self.send(&frame(kind, flags, stream, payload))
    }

    /// Begins a call.
    pub(crate) fn headers(&mut self, stream: u32, path: &str, end: bool) {
        let block = self.block(path);
        self.frame(HEADERS, END_HEADERS | u8::from(end), stream, &block)
            .unwrap();
    }

    /// The headers of a call, as literals without indexing.
    pub(crate) fn block(&self, path: &str) -> Vec<u8> {
        let authority = self.listen.to_string();
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", &authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        fields
            .into_iter()
            .flat_map(|(name, value)| literal(name, value))
            .collect()
    }

    /// The next frame; none where the connection has ended.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.tcp.read_exact(&mut head).ok()?;
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        self.tcp.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes(stream);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// The next frame that is wanted.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().expect("the connection has ended");
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Reads until the server closes the connection; the frames that came.
    pub(crate) fn is_closed(&mut self) -> Vec<Frame> {
        let begin = std::time::Instant::now();
        let frames = std::iter::from_fn(|| self.next()).collect();
        assert!(begin.elapsed() < PATIENCE, "the connection stays");
        frames
    }
}

/// A frame as it is sent.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [kind, flags];
    [&length[1..], &head, &stream.to_be_bytes(), payload].concat()
}

/// A header field that no table keeps.
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        let length = text.len();
        if length < 127 {
            field.push(u8::try_from(length).unwrap());
        } else {
            field.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                field.push(u8::try_from(rest % 128 + 128).unwrap());
                rest /= 128;
            }
            field.push(u8::try_from(rest).unwrap());
        }
        field.extend(text.as_bytes());
    }
    field
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
