//! The server's program: flags, configuration, log; then the server, until a signal ends it.

use std::process::ExitCode;

use anyhow::Context as _;
use flotilla_config::Configuration;
use flotilla_server::flags::{self, Command, Flags};
use flotilla_server::log::{FATAL, Logger};
use flotilla_server::server::Server;
use flotilla_server::signals::{self, ServerSignal, SignalReceiver};
use flotilla_server::source::SystemSource;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How the program calls itself.
const PROGRAM: &str = "flotilla-server";

fn main() -> ExitCode {
    match flags::parse(std::env::args_os().skip(1)) {
        Ok(Command::Version) => {
            println!("{PROGRAM}: v{}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Command::Help) => {
            print!("{}", flags::help(PROGRAM));
            ExitCode::SUCCESS
        }
        Ok(Command::Signal(request)) => match signals::send(&request, PROGRAM) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        },
        Ok(Command::Run(flags)) => run(&flags),
        Err(error) => {
            eprintln!("{PROGRAM}: {error}");
            if error.wants_help() {
                print!("{}", flags::help(PROGRAM));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("{PROGRAM}: {reason}");
    ExitCode::FAILURE
}

fn load(flags: &Flags) -> Result<Configuration, flotilla_config::ConfigError> {
    flotilla_config::load(flags.config.as_deref(), &SystemSource, &flags.overrides)
}

fn run(flags: &Flags) -> ExitCode {
    let configuration = match load(flags) {
        Ok(configuration) => configuration,
        Err(error) => return fail(&error.to_string()),
    };
    if flags.test {
        for warning in &configuration.warnings {
            eprintln!("{warning}");
        }
        let path = flags.config.as_deref().unwrap_or_else(|| std::path::Path::new(""));
        let digest = configuration.digest.as_deref().unwrap_or("none");
        println!("{PROGRAM}: configuration file {} is valid ({digest})", path.display());
        return ExitCode::SUCCESS;
    }
    let logger = match Logger::new(&configuration.options.logging) {
        Ok(logger) => logger,
        Err(error) => return fail(&error.to_string()),
    };
    if !logger.install() {
        return fail("another logger is installed already");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime.context("the runtime cannot start").and_then(|runtime| {
        let served = runtime.block_on(serve(flags, &configuration, &logger));
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!(target: FATAL, "{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    flags: &Flags,
    configuration: &Configuration,
    logger: &Logger,
) -> anyhow::Result<()> {
    let mut received = SignalReceiver::register().context("signals cannot be received")?;
    log::info!("Starting {PROGRAM}");
    log::info!("  Version:  {}", env!("CARGO_PKG_VERSION"));
    if let Some(path) = &flags.config {
        let digest = configuration.digest.as_deref().unwrap_or("none");
        log::info!("Using configuration file: {} ({digest})", path.display());
    }
    for warning in &configuration.warnings {
        log::warn!("{warning}");
    }
    let mut server = Server::start(configuration.options.clone()).await?;
    log::info!("Server is ready");
    loop {
        match received.next().await {
            ServerSignal::Reload => match load(flags) {
                Ok(configuration) => server.reload(configuration, logger),
                Err(error) => log::error!("Nothing is reloaded: {error}"),
            },
            ServerSignal::ReopenLog => {
                if let Err(error) = logger.reopen() {
                    log::error!("The log cannot be opened again: {error}");
                }
            }
            ServerSignal::LameDuck => {
                log::info!("Entering lame duck mode, stop accepting new clients");
                server.lame_duck().await;
                break;
            }
            ServerSignal::Terminate | ServerSignal::Interrupt | ServerSignal::Kill => {
                log::info!("Initiating Shutdown...");
                break;
            }
        }
    }
    server.shutdown().await;
    log::info!("Server Exiting..");
    Ok(())
}
