//! A client of a few lines, and transcripts that it plays.
//!
//! A transcript is text, one step a line: `A> SUB a 1` lets client A send that line, `A< PONG` expects that line next
//! from the server, and `A< EOF` the end of the stream. A client connects, and its first `INFO` is read, when it is
//! first named. Every wait is for bytes; the timeout only turns a hang into a failure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use flotilla_proto::Info;
use flotilla_server_core::{ClientListener, ClientOptions, RouterHandle};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const HANG: Duration = Duration::from_secs(20);

/// The usual opening that asks for no confirmations.
pub(crate) const QUIET: &str = r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1}"#;

pub(crate) struct WireClient {
    pub(crate) socket: BufReader<TcpStream>,
    pub(crate) info: Info,
}

impl WireClient {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let socket = BufReader::new(TcpStream::connect(addr).await.unwrap());
        let mut client = Self { socket, info: Info::default() };
        client.info = client.info().await;
        client
    }

    /// Connects and waits until the server has taken the `CONNECT`.
    pub(crate) async fn ready(addr: SocketAddr) -> Self {
        let mut client = Self::connect(addr).await;
        client.send(QUIET).await;
        client.send("PING").await;
        assert_eq!(client.line().await, "PONG");
        client.info = client.info().await;
        client
    }

    pub(crate) async fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\r\n").as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// The next line without its end; `EOF` at the end of the stream.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let size = timeout(HANG, self.socket.read_line(&mut line)).await.expect("a line in time");
        match size {
            Ok(0) => "EOF".to_owned(),
            Ok(_) => line.trim_end_matches(['\r', '\n']).to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// The next line, which must be an `INFO`.
    pub(crate) async fn info(&mut self) -> Info {
        let line = self.line().await;
        let json = line.strip_prefix("INFO ").unwrap_or_else(|| panic!("INFO, not {line}"));
        serde_json::from_str(json).unwrap()
    }

    /// Waits until the server has done all that was asked before.
    pub(crate) async fn settle(&mut self) {
        self.send("PING").await;
        assert_eq!(self.line().await, "PONG");
    }
}

pub(crate) async fn start(options: ClientOptions) -> ClientListener {
    start_with(options, RouterHandle::new()).await
}

pub(crate) async fn start_with(options: ClientOptions, router: RouterHandle) -> ClientListener {
    let options = ClientOptions { host: "127.0.0.1".into(), port: 0, ..options };
    ClientListener::bind(options, router).await.unwrap()
}

/// Plays `transcript` with as many clients as it names.
pub(crate) async fn play(addr: SocketAddr, transcript: &str) {
    let mut clients: BTreeMap<&str, WireClient> = BTreeMap::new();
    let steps = transcript.lines().map(str::trim_start).filter(|step| !step.is_empty());
    for (number, step) in steps.enumerate() {
        let at = step.find(['>', '<']).unwrap_or_else(|| panic!("a step, not {step:?}"));
        let (name, text) = (&step[..at], step[at + 1..].strip_prefix(' ').unwrap_or_default());
        if !clients.contains_key(name) {
            clients.insert(name, WireClient::connect(addr).await);
        }
        let client = clients.get_mut(name).unwrap();
        if step[at..].starts_with('>') {
            client.send(text).await;
        } else {
            assert_eq!(client.line().await, text, "step {number} of\n{transcript}");
        }
    }
}
