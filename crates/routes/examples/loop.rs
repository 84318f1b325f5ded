//! One Raft lane between two servers in this process, each with a runtime of one thread: how long a small
//! frame takes there and back, and how many of each size go through in a second.
//! `cargo run --release -p flotilla-routes --example loop [MiB [frame size]...]`.

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_routes::{
    Event, Handle, Identity, Lane, Options, PeerId, RouteUrl, Routes, SendError,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::Receiver;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse());
    let mebibytes: usize = arguments.next().unwrap_or(Ok(512))?;
    let mut sizes = arguments.collect::<std::result::Result<Vec<usize>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![256, 4 << 10, 64 << 10];
    }
    for size in [128, 4 << 10] {
        round_trips(size)?;
    }
    for size in sizes {
        // Small frames cost by the frame, so send fewer bytes of them.
        let bytes = if size < 1024 { mebibytes << 16 } else { mebibytes << 20 };
        measure(size, bytes / size)?;
    }
    Ok(())
}

/// How many round trips are measured, after a tenth as many that are not.
const ROUND_TRIPS: usize = 20_000;

/// Sends a frame, waits until it is back, and sends the next one.
fn round_trips(size: usize) -> Result<()> {
    let (a, asking, mut answers) = start("a", None)?;
    let (b, answering, mut questions) = start("b", Some(asking.local_addr()))?;
    let peer = a.block_on(linked(&mut answers))?;
    let echo = answering.clone();
    b.spawn(async move {
        while let Some(event) = questions.recv().await {
            let Event::Frames { peer, frames, .. } = event else { continue };
            for frame in frames {
                // A lane that holds one frame at a time is never full.
                let _ = echo.send(peer, Lane::Raft(0), Bytes::copy_from_slice(&frame));
            }
        }
    });
    // On the runtime's own thread, as the server's routes take their turns there.
    let asked = asking.clone();
    let mut took = a.block_on(a.spawn(async move {
        let (frame, mut took) = (Bytes::from(vec![1; size]), Vec::new());
        for _ in 0..ROUND_TRIPS + ROUND_TRIPS / 10 {
            let began = Instant::now();
            asked.send(peer, Lane::Raft(0), frame.clone())?;
            while !matches!(answers.recv().await, Some(Event::Frames { .. })) {}
            took.push(began.elapsed());
        }
        Ok::<_, SendError>(took.split_off(ROUND_TRIPS / 10))
    }))??;
    took.sort_unstable();
    let at = |quantile: usize| took.get(took.len() * quantile / 100).copied().unwrap_or_default();
    println!("{size:>6} B there and back: p50 {:?}, p99 {:?}", at(50), at(99));
    b.block_on(answering.shutdown());
    a.block_on(asking.shutdown());
    Ok(())
}

/// Sends `count` frames of `size` bytes as fast as the lane takes them.
fn measure(size: usize, count: usize) -> Result<()> {
    let (a, sender, mut sender_events) = start("a", None)?;
    let (b, receiver, mut events) = start("b", Some(sender.local_addr()))?;
    let peer = a.block_on(linked(&mut sender_events))?;
    let began = Instant::now();
    let sending = sender.clone();
    let writer = thread::spawn(move || send(&sending, peer, &Bytes::from(vec![1; size]), count));
    let mut received = 0;
    let mut reads = 0;
    b.block_on(async {
        while received < count {
            if let Some(Event::Frames { frames, .. }) = events.recv().await {
                received += frames.len();
                reads += 1;
            }
        }
    });
    let took = began.elapsed().as_secs_f64();
    writer.join().map_err(|_| "the sender panicked")??;
    let stats = sender.stats(peer).ok_or("the link is gone")?;
    println!(
        "{size:>6} B: {:>6.0} MB/s, {:>8.0} frames/s, {:>5.1} frames a read, datagrams of {} B, \
         {} packets lost, rtt {:?}",
        (size * count) as f64 / took / 1e6,
        count as f64 / took,
        received as f64 / f64::from(reads),
        stats.datagram_size,
        stats.lost_packets,
        stats.rtt,
    );
    b.block_on(receiver.shutdown());
    a.block_on(sender.shutdown());
    Ok(())
}

fn send(
    handle: &Handle,
    peer: PeerId,
    frame: &Bytes,
    count: usize,
) -> std::result::Result<(), SendError> {
    for _ in 0..count {
        loop {
            match handle.send(peer, Lane::Raft(0), frame.clone()) {
                Ok(()) => break,
                Err(SendError::Full { .. }) => thread::sleep(Duration::from_micros(200)),
                Err(other) => return Err(other),
            }
        }
    }
    Ok(())
}

async fn linked(events: &mut Receiver<Event>) -> Result<PeerId> {
    loop {
        match events.recv().await {
            Some(Event::PeerUp(info)) => return Ok(info.peer),
            Some(_) => {}
            None => return Err("the service ended".into()),
        }
    }
}

fn start(name: &str, seed: Option<SocketAddr>) -> Result<(Runtime, Handle, Receiver<Event>)> {
    let identity = Identity {
        server_name: name.to_owned(),
        server_id: name.to_owned(),
        cluster_name: "loop".to_owned(),
        store_id: None,
        log_end: None,
        cluster_id: None,
        boot_id: 1,
        jetstream: false,
        tags: Vec::new(),
        client_urls: Vec::new(),
        version: String::new(),
    };
    let mut options = Options::new(identity, SocketAddr::from(([127, 0, 0, 1], 0)));
    let url = |addr: SocketAddr| RouteUrl { host: addr.ip().to_string(), port: addr.port() };
    options.seeds = seed.map(url).into_iter().collect();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (handle, events) = runtime.block_on(async { Routes::start(options) })?;
    Ok((runtime, handle, events))
}
