//! `flotilla up`: a cluster on this machine, to try things on.
//!
//! Starts one server process per member, waits until all are healthy, and stops them when it is told to stop.
//! It restarts nothing: killing a server is one of the things to try.

mod config;
mod health;
mod member;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout};

use crate::exit::Failure;
use crate::output::{Output, duration};
use member::Member;

/// How long a server may take to stop by itself before it is killed.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many servers
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=9))]
    servers: u16,

    /// Where configurations, logs and data go; a later start finds the data again
    #[arg(long, default_value = ".flotilla", value_name = "DIR")]
    dir: PathBuf,

    /// Client port of the first server; the others follow
    #[arg(long, default_value_t = 4222, value_name = "PORT")]
    port: u16,

    /// Monitoring port of the first server; the others follow
    #[arg(long, default_value_t = 8222, value_name = "PORT")]
    http_port: u16,

    /// Route port of the first server; the others follow
    #[arg(long, default_value_t = 6222, value_name = "PORT")]
    cluster_port: u16,

    /// The cluster's name
    #[arg(long, default_value = "C1", value_name = "NAME", value_parser = crate::name::parse)]
    name: String,

    /// The server to run [default: flotilla-server beside this program, else on the PATH]
    #[arg(long, value_name = "FILE")]
    server_bin: Option<PathBuf>,

    /// How long the servers may take to become healthy
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = duration::parse)]
    ready_within: Duration,
}

/// Why the cluster does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    #[error(
        "there is no flotilla-server beside this program or on the PATH; name one with --server-bin"
    )]
    NoServer,
    #[error("port {port} is taken: {source}; choose others with {flag}")]
    Port { port: u16, flag: &'static str, source: io::Error },
    #[error("ports from {first} on do not suffice for {servers} servers")]
    Ports { first: u16, servers: u16 },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start {}: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("{name} ended at once ({status}); the end of {}:\n{tail}", log.display())]
    Ended { name: String, status: String, log: PathBuf, tail: String },
    #[error("{name} was not healthy within {}; the end of {}:\n{tail}", duration::short(*.waited), log.display())]
    NotReady { name: String, waited: Duration, log: PathBuf, tail: String },
    #[error("all servers have ended")]
    AllEnded,
}

/// The signals that end the cluster.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Resolves at the next signal, with how the process should end for it.
    async fn requested(&mut self) -> Result<(), Failure> {
        tokio::select! {
            _ = self.interrupt.recv() => Err(Failure::Interrupted),
            _ = self.terminate.recv() => Ok(()),
        }
    }
}

/// Runs the command until a signal ends it.
///
/// # Errors
/// The cluster could not be started, or ended by itself; [`Failure::Interrupted`] after Ctrl-C.
pub(crate) async fn run(args: &Args, out: &Output) -> Result<(), Failure> {
    let program = server_program(args.server_bin.as_deref())?;
    let plan = plan(args)?;
    check_ports(&plan)?;
    let mut stop = Stop {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    };
    let mut members = Vec::with_capacity(plan.len());
    let result = tokio::select! {
        result = start_and_watch(&program, &plan, args, out, &mut members) => result,
        result = stop.requested() => result,
    };
    tokio::select! {
        () = stop_all(&mut members, out) => {}
        _ = stop.requested() => kill_all(&mut members),
    }
    result
}

async fn start_and_watch(
    program: &Path,
    plan: &[config::Server],
    args: &Args,
    out: &Output,
    members: &mut Vec<Member>,
) -> Result<(), Failure> {
    for server in plan {
        let file = config::write(server, plan, &args.name)
            .map_err(|source| UpError::File { path: server.dir.clone(), source })?;
        members.push(Member::start(program, &file, server)?);
        out.progress(&format!("Started {} on {}", server.name, server.client));
    }
    let deadline = Instant::now() + args.ready_within;
    for member in members.iter_mut() {
        member.ready(deadline, args.ready_within).await?;
    }
    out.progress("All servers are healthy");
    announce(plan, &args.dir, out)?;
    watch(program, members, out).await
}

/// Tells of servers that end, until none is left.
async fn watch(program: &Path, members: &mut [Member], out: &Output) -> Result<(), Failure> {
    while members.iter().any(Member::is_running) {
        let ends =
            members.iter_mut().filter(|member| member.is_running()).map(|m| Box::pin(m.end()));
        let (ended, _, _) = futures::future::select_all(ends).await;
        let again = format!("{} -c {}", program.display(), ended.config.display());
        out.progress(&format!(
            "{} ended ({}); start it again with: {again}",
            ended.name, ended.status
        ));
    }
    Err(UpError::AllEnded.into())
}

async fn stop_all(members: &mut [Member], out: &Output) {
    if members.iter().any(Member::is_running) {
        out.progress("Stopping");
    }
    for member in members.iter() {
        member.terminate();
    }
    let deadline = Instant::now() + GRACE;
    for member in members.iter_mut() {
        let left = deadline.saturating_duration_since(Instant::now());
        if member.is_running() && timeout(left, member.end()).await.is_err() {
            out.progress(&format!("{} does not stop, killing it", member.name));
            member.kill();
        }
    }
}

fn kill_all(members: &mut [Member]) {
    for member in members {
        member.kill();
    }
}

/// Prints where the servers are, and what to do with them.
fn announce(plan: &[config::Server], dir: &Path, out: &Output) -> Result<(), Failure> {
    let urls: Vec<String> = plan.iter().map(|server| format!("nats://{}", server.client)).collect();
    let urls = urls.join(",");
    if out.json {
        let names: Vec<&str> = plan.iter().map(|server| server.name.as_str()).collect();
        return out.print(&serde_json::json!({"servers": names, "url": urls}).to_string());
    }
    let replicas = if plan.len() >= 3 { 3 } else { 1 };
    out.print(&format!(
        "\n  export NATS_URL={urls}\n\n\
        Three things to try, in another terminal, with flotilla or with the nats tool:\n\n\
        \x20 flotilla stream add ORDERS --subjects 'ORDERS.*' --replicas {replicas}\n\
        \x20 flotilla pub ORDERS.new hello --jetstream\n\
        \x20 flotilla stream cluster step-down ORDERS\n\n\
        The system account's user is {user}, its password {password}: flotilla --user {user} --password {password} server cluster step-down\n\
        Logs and data are in {}. Ctrl-C stops the cluster.\n",
        dir.display(),
        user = config::SYSTEM_USER,
        password = config::SYSTEM_PASSWORD,
    ))
}

/// The servers to start. Nothing is written yet.
fn plan(args: &Args) -> Result<Vec<config::Server>, Failure> {
    let address = |first: u16, index: u16| match first.checked_add(index) {
        Some(port) if first > 0 => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        _ => Err(UpError::Ports { first, servers: args.servers }),
    };
    let root = std::path::absolute(&args.dir)?;
    let servers = (0..args.servers).map(|index| {
        let name = format!("n{}-{}", index + 1, args.name.to_lowercase());
        Ok(config::Server {
            dir: root.join(&name),
            name,
            client: address(args.port, index)?,
            http: address(args.http_port, index)?,
            cluster: address(args.cluster_port, index)?,
        })
    });
    servers.collect()
}

/// A taken port is reported before anything is started: the server's own words would be in a log file.
fn check_ports(plan: &[config::Server]) -> Result<(), UpError> {
    for server in plan {
        let ports = [
            (server.client, "--port"),
            (server.http, "--http-port"),
            (server.cluster, "--cluster-port"),
        ];
        for (address, flag) in ports {
            TcpListener::bind(address).map_err(|source| UpError::Port {
                port: address.port(),
                flag,
                source,
            })?;
        }
    }
    Ok(())
}

fn server_program(given: Option<&Path>) -> Result<PathBuf, UpError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let name = format!("flotilla-server{}", env::consts::EXE_SUFFIX);
    let beside = env::current_exe().ok().and_then(|exe| exe.parent().map(|dir| dir.join(&name)));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|dir| dir.join(&name));
    let is_file = |path: &PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    beside.into_iter().chain(on_path).find(is_file).ok_or(UpError::NoServer)
}
