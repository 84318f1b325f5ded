//! What the command line says, over what the file says.

use std::path::PathBuf;

use crate::address::{Listen, Port};
use crate::findings::{Findings, Reason};
use crate::options::{DEFAULT_ROUTE_AUTH_TIMEOUT, Options, RouteAuthorization, User};
use crate::route_url::{RouteUrl, RouteUrlError, parse_credentials};
use crate::secret::Secret;
use crate::syntax::Position;

/// Options given on the command line; `None` leaves the file's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--addr`.
    pub host: Option<String>,
    /// `--port`.
    pub port: Option<Port>,
    /// `--http_port`.
    pub monitor_port: Option<Port>,
    /// `--name`.
    pub server_name: Option<String>,
    /// `--client_advertise`.
    pub client_advertise: Option<String>,
    /// `--jetstream`.
    pub jetstream: Option<bool>,
    /// `--store_dir`.
    pub store_dir: Option<PathBuf>,
    /// `--log`.
    pub log_file: Option<PathBuf>,
    /// `--logtime`.
    pub logtime: Option<bool>,
    /// `--debug`.
    pub debug: Option<bool>,
    /// `--trace`.
    pub trace: Option<bool>,
    /// `-VV`.
    pub trace_verbose: Option<bool>,
    /// `--pid`.
    pub pid_file: Option<PathBuf>,
    /// `--ports_file_dir`.
    pub ports_file_dir: Option<PathBuf>,
    /// `--user`.
    pub user: Option<String>,
    /// `--pass`.
    pub password: Option<Secret>,
    /// `--auth`.
    pub token: Option<Secret>,
    /// `--cluster` or `--cluster_listen`: `nats://user:password@host:port`, or `host:port`. Secret since
    /// it may hold a password.
    pub cluster_listen: Option<Secret>,
    /// `--cluster_name`.
    pub cluster_name: Option<String>,
    /// `--cluster_advertise`.
    pub cluster_advertise: Option<String>,
    /// `--routes`: URLs separated by commas, instead of the file's.
    pub routes: Option<Secret>,
    /// `--no_advertise`.
    pub no_advertise: Option<bool>,
    /// `--connect_retries`.
    pub connect_retries: Option<u32>,
}

fn set<T: Clone>(option: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        option.clone_from(given);
    }
}

fn set_some<T: Clone>(option: &mut Option<T>, given: Option<&T>) {
    if given.is_some() {
        *option = given.cloned();
    }
}

impl Overrides {
    /// Writes what was given over `options`.
    pub(crate) fn apply(&self, options: &mut Options, findings: &mut Findings) {
        set(&mut options.host, self.host.as_ref());
        set(&mut options.port, self.port.as_ref());
        if let Some(port) = self.monitor_port {
            let host = options.monitor.take().and_then(|listen| listen.host);
            options.monitor = Some(Listen { host, port });
        }
        if let Some(name) = &self.server_name {
            options.server_name = self.checked_name(name, "server name", findings);
        }
        set_some(&mut options.client_advertise, self.client_advertise.as_ref());
        set_some(&mut options.pid_file, self.pid_file.as_ref());
        set_some(&mut options.ports_file_dir, self.ports_file_dir.as_ref());
        self.apply_logging(options);
        self.apply_jetstream(options);
        self.apply_credentials(options, findings);
        self.apply_cluster(options, findings);
    }

    fn apply_logging(&self, options: &mut Options) {
        let logging = &mut options.logging;
        set(&mut logging.debug, self.debug.as_ref());
        set(&mut logging.trace, self.trace.as_ref());
        set(&mut logging.trace_verbose, self.trace_verbose.as_ref());
        set(&mut logging.logtime, self.logtime.as_ref());
        set_some(&mut logging.file, self.log_file.as_ref());
        logging.trace |= logging.trace_verbose;
    }

    fn apply_jetstream(&self, options: &mut Options) {
        match self.jetstream {
            Some(true) => {
                options.jetstream.get_or_insert_default();
            }
            Some(false) => options.jetstream = None,
            None => {}
        }
        if let Some(directory) = &self.store_dir {
            match &mut options.jetstream {
                Some(jetstream) => jetstream.store_dir = Some(directory.clone()),
                None => options.top_store_dir = Some(directory.clone()),
            }
        }
    }

    fn apply_credentials(&self, options: &mut Options, findings: &mut Findings) {
        let authorization = &mut options.authorization;
        if let Some(name) = &self.user {
            let password = self.password.clone().unwrap_or_else(|| Secret::new(""));
            authorization.user = Some(User { name: name.clone(), password });
        } else if let Some(password) = &self.password {
            match &mut authorization.user {
                Some(user) => user.password = password.clone(),
                None => fail(findings, Reason::Conflict("--pass needs --user")),
            }
        }
        set_some(&mut authorization.token, self.token.as_ref());
    }

    fn apply_cluster(&self, options: &mut Options, findings: &mut Findings) {
        if let Some(name) = &self.cluster_name {
            options.cluster.name = self.checked_name(name, "cluster name", findings);
        }
        let cluster = &mut options.cluster;
        set_some(&mut cluster.advertise, self.cluster_advertise.as_ref());
        set(&mut cluster.no_advertise, self.no_advertise.as_ref());
        set(&mut cluster.connect_retries, self.connect_retries.as_ref());
        if let Some(listen) = &self.cluster_listen {
            match parse_cluster_listen(listen.expose()) {
                Ok((listen, authorization)) => {
                    cluster.listen = Some(listen);
                    set_some(&mut cluster.authorization, authorization.as_ref());
                }
                Err(reason) => fail(findings, reason),
            }
        }
        if let Some(routes) = &self.routes {
            cluster.routes.clear();
            for url in routes.expose().split(',').map(str::trim).filter(|url| !url.is_empty()) {
                match RouteUrl::parse(url) {
                    Ok(route) => cluster.routes.push(route),
                    Err(error) => fail(findings, Reason::Route(error)),
                }
            }
        }
    }

    fn checked_name(
        &self,
        name: &str,
        what: &'static str,
        findings: &mut Findings,
    ) -> Option<String> {
        if name.contains(char::is_whitespace) {
            fail(findings, Reason::Spaces(what));
        }
        (!name.is_empty()).then(|| name.to_owned())
    }
}

fn fail(findings: &mut Findings, reason: Reason) {
    findings.fail(Some(Position::whole("command line")), reason);
}

/// `[scheme://][user:password@]host:port`.
fn parse_cluster_listen(text: &str) -> Result<(Listen, Option<RouteAuthorization>), Reason> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (credentials, address) = match rest.rsplit_once('@') {
        Some((credentials, address)) => (Some(credentials), address),
        None => (None, rest),
    };
    let address = address.strip_suffix('/').unwrap_or(address);
    let listen = Listen::parse(address)
        .map_err(|error| Reason::Address { name: "cluster.listen", error })?;
    let authorization = credentials.map(parse_credentials).transpose();
    let authorization = authorization.map_err(|_| Reason::Route(RouteUrlError::Credentials))?;
    let authorization = authorization.map(|(user, password)| RouteAuthorization {
        user,
        password,
        timeout: DEFAULT_ROUTE_AUTH_TIMEOUT,
    });
    Ok((listen, authorization))
}
