//! The floor of the comparison: bytes from one socket to the other.
//!
//! It reads nothing, keeps nothing, and opens one connection to the origin for
//! each that it accepts. What a proxy costs above it is the price of being one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use crate::command_line::RelayOptions;
use crate::failure::Failure;

const BUFFER: usize = 16 * 1024;

/// Relays until the process is ended.
pub(crate) fn run(options: &RelayOptions) -> Result<(), Failure> {
    let listener = TcpListener::bind(options.listen)
        .map_err(|error| Failure::io(format!("listening on {}", options.listen), &error))?;
    let workers = (0..options.workers)
        .map(|_| worker(options.to))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| Failure::io("starting a relay thread", &error))?;
    for worker in workers.iter().cycle() {
        let (client, _) =
            listener.accept().map_err(|error| Failure::io("accepting a connection", &error))?;
        if worker.send(client).is_err() {
            return Err(Failure::invalid("a relay thread ended"));
        }
    }
    Ok(())
}

/// One thread with a runtime of its own; connections never leave it.
fn worker(origin: SocketAddr) -> io::Result<UnboundedSender<std::net::TcpStream>> {
    let (give, take) = unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new()
        .name("relay".to_owned())
        .spawn(move || LocalSet::new().block_on(&runtime, serve(take, origin)))?;
    Ok(give)
}

async fn serve(mut connections: UnboundedReceiver<std::net::TcpStream>, origin: SocketAddr) {
    while let Some(client) = connections.recv().await {
        spawn_local(async move {
            // A connection that breaks is the load generator's to count.
            let _ = connect_and_relay(client, origin).await;
        });
    }
}

async fn connect_and_relay(client: std::net::TcpStream, origin: SocketAddr) -> io::Result<()> {
    client.set_nonblocking(true)?;
    client.set_nodelay(true)?;
    let client = TcpStream::from_std(client)?;
    let origin = TcpStream::connect(origin).await?;
    origin.set_nodelay(true)?;
    relay(client, origin).await
}

async fn relay(mut client: TcpStream, mut origin: TcpStream) -> io::Result<()> {
    let (client_reader, client_writer) = client.split();
    let (origin_reader, origin_writer) = origin.split();
    tokio::try_join!(pump(client_reader, origin_writer), pump(origin_reader, client_writer))?;
    Ok(())
}

async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            count => to.write_all(&buffer[..count]).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_and_both_ends_of_stream_pass() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin_address = origin.local_addr().unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let relayed = tokio::spawn(connect_and_relay(accepted.into_std().unwrap(), origin_address));
        let (mut server, _) = origin.accept().await.unwrap();

        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        server.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "question");

        server.write_all(b"answer").await.unwrap();
        drop(server);
        heard.clear();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "answer");
        relayed.await.unwrap().unwrap();
    }
}
