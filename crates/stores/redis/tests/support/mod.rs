//! A server that says what a test wants to hear.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use wix_visitor_core::{Etag, StoreKey, Stored};
use wix_visitor_redis::{RedisOptions, RedisStore};

/// What it does with a command.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// Answers in RESP.
    This(Vec<u8>),
    /// Nothing, ever.
    Nothing,
    /// Closes the connection.
    Goodbye,
    /// Answers and closes.
    LastWord(Vec<u8>),
}

pub(crate) fn error(text: &str) -> Say {
    Say::This(format!("-{text}\r\n").into_bytes())
}

pub(crate) fn ok() -> Say {
    Say::This(b"+OK\r\n".to_vec())
}

pub(crate) fn nil() -> Say {
    Say::This(b"_\r\n".to_vec())
}

pub(crate) fn bulk(bytes: &[u8]) -> Say {
    Say::This([format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
}

pub(crate) fn array(parts: &[&str]) -> Say {
    let mut all = format!("*{}\r\n", parts.len());
    for part in parts {
        all.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    Say::This(all.into_bytes())
}

/// What a server says of itself.
pub(crate) fn hello(mode: &str, role: &str) -> Say {
    Say::This(format!("%3\r\n+proto\r\n:3\r\n+mode\r\n+{mode}\r\n+role\r\n+{role}\r\n").into_bytes())
}

/// A command that arrived: on which connection, counted from 1, and its words.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) connection: usize,
    pub(crate) words: Vec<Vec<u8>>,
}

impl Heard {
    pub(crate) fn name(&self) -> &str {
        std::str::from_utf8(&self.words[0]).expect("a command's name")
    }
}

type Script = dyn Fn(&Heard) -> Option<Say> + Send + Sync;

/// Ends with its runtime.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Fake {
    /// A primary, except where the script says something else.
    pub(crate) async fn start(script: impl Fn(&Heard) -> Option<Say> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (script, all): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&heard));
        tokio::spawn(async move {
            for connection in 1.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(serve(stream, connection, Arc::clone(&script), Arc::clone(&all)));
            }
        });
        Self { address, heard }
    }

    pub(crate) fn options(&self) -> RedisOptions {
        // Long enough that nothing here ends by it, unless a test sets another.
        RedisOptions::new("127.0.0.1", self.address.port()).timeout(Duration::from_secs(30))
    }

    pub(crate) async fn store(&self) -> RedisStore {
        self.options().connect().await.expect("a store")
    }

    /// The commands of this name that have arrived.
    pub(crate) fn heard(&self, name: &str) -> Vec<Heard> {
        self.heard.lock().expect("no panic").iter().filter(|heard| heard.name() == name).cloned().collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.heard.lock().expect("no panic").iter().map(|heard| heard.connection).max().unwrap_or_default()
    }
}

async fn serve(stream: TcpStream, connection: usize, script: Arc<Script>, all: Arc<Mutex<Vec<Heard>>>) {
    let mut stream = BufStream::new(stream);
    while let Some(words) = command(&mut stream).await {
        let heard = Heard { connection, words };
        all.lock().expect("no panic").push(heard.clone());
        let said = script(&heard).unwrap_or_else(|| match heard.name() {
            "HELLO" => hello("standalone", "master"),
            _ => error("NOPERM not here"),
        });
        let (bytes, last) = match said {
            Say::This(bytes) => (bytes, false),
            Say::LastWord(bytes) => (bytes, true),
            Say::Nothing => (Vec::new(), false),
            Say::Goodbye => return,
        };
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() || last {
            return;
        }
    }
}

async fn command(stream: &mut BufStream<TcpStream>) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    for _ in 0..number(stream).await? {
        let mut word = vec![0; number(stream).await? + 2];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Some(words)
}

async fn number(stream: &mut BufStream<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    line.get(1..)?.trim().parse().ok()
}

pub(crate) fn key() -> StoreKey {
    StoreKey::parse("site/visitor-key-of-nobody-else").expect("a key")
}

pub(crate) fn record(etag: u128, bytes: &str) -> Stored {
    Stored { etag: Etag::from_bits(etag), bytes: bytes.into() }
}

/// How long a record is kept here.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
