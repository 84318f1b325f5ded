//! What the configuration bounds, in a whole server.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use flotilla_config::{MemorySource, Overrides, load};
use flotilla_server::server::Server;

/// A client that speaks the protocol by hand, so that what it sends arrives at once.
struct Client(BufReader<TcpStream>);

impl Client {
    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("a connection");
    }

    /// The payload of the next message.
    fn message(&mut self) -> serde_json::Value {
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).expect("an answer in time");
            assert_ne!(read, 0, "the connection has ended");
            if line.starts_with('{') {
                return serde_json::from_str(&line).expect("an answer");
            }
        }
    }

    fn request(&mut self, subject: &str, body: &str) -> serde_json::Value {
        self.send(&format!("PUB {subject} answers {}\r\n{body}\r\n", body.len()));
        self.message()
    }
}

#[test]
fn publishing_beyond_what_may_wait_for_a_stream_is_refused_as_by_the_reference() {
    let store = tempfile::tempdir().unwrap();
    let text = format!(
        "server_name: S, listen: \"127.0.0.1:-1\", jetstream {{ store_dir: {:?}, max_buffered_msgs: 1 }}",
        store.path()
    );
    let source = MemorySource::with_file("s.conf", text.as_str());
    let configuration = load(Some(Path::new("s.conf")), &source, &Overrides::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(configuration.options)).unwrap();
    let stream = TcpStream::connect(server.client_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut client = Client(BufReader::new(stream));
    client.send("CONNECT {\"verbose\":false}\r\nSUB answers 1\r\n");
    let create = r#"{"name":"S","subjects":["s"]}"#;
    // Nobody leads the meta group in the first moment.
    while client.request("$JS.API.STREAM.CREATE.S", create)["config"].is_null() {}

    // One write is read as one, and what is read together comes to the stream in one turn.
    client.send(&"PUB s answers 1\r\nx\r\n".repeat(100));
    let answers: Vec<_> = (0..100).map(|_| client.message()).collect();
    let refused = answers.iter().filter(|answer| answer["error"]["err_code"] == 10167);
    let stored = answers.iter().filter(|answer| answer["error"].is_null()).count();
    assert!(stored >= 1 && refused.count() + stored == 100 && stored < 100, "{answers:?}");
    let description = client.request("$JS.API.STREAM.INFO.S", "");
    assert_eq!(description["state"]["messages"], stored, "{description}");
    runtime.block_on(server.shutdown());
}
