//! What the service listens on: ports, and the files of unix-domain sockets. Each is its own alone
//! (I8): nothing here asks to share it with another process.

use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind},
    net,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net as unix,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream},
    time::{sleep, timeout},
};
use tokio_stream::StreamExt as _;
use tonic::transport::server::TcpIncoming;

use crate::{config::listen::Endpoint, rpc::connection::Connection};

/// What connections come to.
#[derive(Debug)]
pub enum Listener {
    /// A port.
    Tcp(TcpIncoming),
    /// The file of a socket.
    Unix(UnixListener, SocketFile),
}

/// What is spoken over the connections of a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// gRPC.
    Grpc,
    /// The Connect protocol, over whichever HTTP.
    Http,
}

/// The file of a socket that this process listens on; it is removed with this.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// A connection on its way from the runtime that accepted it to the one that serves it.
#[derive(Debug)]
pub enum Accepted {
    /// Over the network.
    Tcp(net::TcpStream),
    /// Through the file of a socket.
    Unix(unix::UnixStream),
}

impl Listener {
    /// Opens it, and says where it is where the system was to choose the port. The file of a socket
    /// gets `mode`.
    pub(super) async fn open(endpoint: &Endpoint, mode: u32) -> io::Result<(Self, Endpoint)> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = listener.local_addr()?;
                Ok((listener.into(), Endpoint::Tcp(address)))
            }
            Endpoint::Unix(path) => {
                let (listener, file) = socket(path, mode).await?;
                Ok((Self::Unix(listener, file), endpoint.clone()))
            }
        }
    }

    /// The next connection.
    pub(super) async fn accept(&mut self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(incoming) => {
                let Some(stream) = incoming.next().await else {
                    return Err(ErrorKind::NotConnected.into());
                };
                stream?.into_std().map(Accepted::Tcp)
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                stream.into_std().map(Accepted::Unix)
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        let incoming = TcpIncoming::from(listener)
            .with_nodelay(Some(true))
            .with_keepalive(Some(KEEPALIVE_IDLE));
        Self::Tcp(incoming)
    }
}

impl Accepted {
    /// The connection, for the runtime that this is called in.
    pub(super) fn arrive(self) -> io::Result<Connection> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Connection::Tcp),
            Self::Unix(stream) => UnixStream::from_std(stream).map(Connection::Unix),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Why: another process may have put its own in the place of one that was removed by hand.
        if fs::symlink_metadata(&self.path).is_ok_and(|file| identity(&file) == self.identity) {
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

/// Listens on the file of a socket, in the place of one that a dead process left.
async fn socket(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    // Why: of two that start at once, one could take the file of the other for one that was left.
    let _alone = alone(path).await?;
    if let Ok(there) = fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if is_answered(path).await {
            return Err(ErrorKind::AddrInUse.into());
        }
        fs::remove_file(path)?;
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(&fs::symlink_metadata(path)?),
    };
    // Nobody can connect before it listens.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// Whether a process answers on the socket `path`; one that is too busy to do so does.
async fn is_answered(path: &Path) -> bool {
    let connected = timeout(ANSWER, UnixStream::connect(path)).await;
    !matches!(connected, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused)
}

/// Holds off others that begin to listen in the directory of `path`.
async fn alone(path: &Path) -> io::Result<File> {
    let directory = File::open(path.parent().unwrap_or_else(|| Path::new("/")))?;
    for _ in 0..LOCK_ATTEMPTS {
        if directory.try_lock().is_ok() {
            break;
        }
        sleep(LOCK_PAUSE).await;
    }
    Ok(directory)
}

fn identity(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// How many connections may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 1024;

/// How long a process may take to answer on its socket.
const ANSWER: Duration = Duration::from_secs(1);

const LOCK_ATTEMPTS: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// After how much silence TCP probes a peer.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(path: &Path) -> io::Result<(Listener, Endpoint)> {
        Listener::open(&Endpoint::Unix(path.into()), 0o600).await
    }

    #[tokio::test]
    async fn the_file_of_a_socket_comes_and_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("postern.sock");
        let (mut listener, _) = open(&path).await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let _client = UnixStream::connect(&path).await.unwrap();
        let accepted = listener.accept().await.unwrap().arrive().unwrap();
        assert!(matches!(accepted, Connection::Unix(_)));

        let taken = open(&path).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("postern.sock");
        drop(unix::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (listener, _) = open(&path).await.unwrap();
        UnixStream::connect(&path).await.unwrap();

        // What took its place is not ours to remove.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a letter").unwrap();
        drop(listener);
        let there = open(&path).await.unwrap_err();
        assert_eq!(there.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a letter");

        let nowhere = open(&directory.path().join("none/x")).await.unwrap_err();
        assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn of_two_that_start_at_once_one_listens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("postern.sock");
        drop(unix::UnixListener::bind(&path).unwrap());
        let (one, other) = tokio::join!(open(&path), open(&path));
        assert_ne!(one.is_ok(), other.is_ok());
        UnixStream::connect(&path).await.unwrap();
    }
}
