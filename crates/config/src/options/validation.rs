//! Rules over several options, checked once file and command line are merged.

use std::collections::BTreeSet;

use super::{Options, SyncPolicy};
use crate::address::Port;
use crate::findings::{Findings, Reason, Remark};

/// Payloads above this are allowed and regretted.
const LARGE_PAYLOAD: u32 = 8 << 20;

/// Checks everything that no single option shows.
pub(crate) fn validate(options: &Options, findings: &mut Findings) {
    validate_connection(options, findings);
    validate_ports(options, findings);
    validate_credentials(options, findings);
    validate_accounts(options, findings);
    validate_cluster(options, findings);
}

fn validate_connection(options: &Options, findings: &mut Findings) {
    let limits = &options.connection;
    let payload = u64::from(limits.max_payload);
    if payload > limits.max_pending {
        let at = findings.origin("max_payload").or_else(|| findings.origin("max_pending"));
        let pending = limits.max_pending;
        findings.fail(at, Reason::PayloadAbovePending { payload, pending });
    }
    if limits.max_payload > LARGE_PAYLOAD {
        findings.warn(findings.origin("max_payload"), Remark::LargePayload);
    }
    if options.lame_duck.grace_period >= options.lame_duck.duration {
        let at = findings.origin("lame_duck_grace_period");
        let why = "must be less than lame_duck_duration";
        findings.fail(at, Reason::Invalid { name: "lame_duck_grace_period", why });
    }
}

/// Clients and monitoring are both TCP; routes are UDP and collide with neither.
fn validate_ports(options: &Options, findings: &mut Findings) {
    let Some(monitor) = &options.monitor else { return };
    let same = monitor.port == options.port && monitor.port != Port::Any;
    if same && options.monitor_host() == options.host {
        let at = findings.origin("http_port").or_else(|| findings.origin("http"));
        findings.fail(at, Reason::Conflict("monitoring and clients cannot share a port"));
    }
}

fn validate_credentials(options: &Options, findings: &mut Findings) {
    let authorization = &options.authorization;
    let at = findings.origin("authorization");
    let conflicts = [
        (
            authorization.user.is_some() && authorization.token.is_some(),
            "Cannot have a user/pass and token",
        ),
        (
            authorization.user.is_some() && !authorization.users.is_empty(),
            "Can not have a single user/pass and a users array",
        ),
        (
            authorization.token.is_some() && !authorization.users.is_empty(),
            "Can not have a token and a users array",
        ),
    ];
    for (conflict, why) in conflicts {
        if conflict {
            findings.fail(at.clone(), Reason::Conflict(why));
        }
    }
    let mut names = BTreeSet::new();
    for (_, user) in options.users() {
        if !names.insert(user.name.as_str()) {
            let at = findings.origin("accounts").or_else(|| at.clone());
            findings.fail(at, Reason::DuplicateUser(user.name.clone()));
        }
    }
    if let Some(user) = &options.no_auth_user
        && !names.contains(user.as_str())
    {
        findings.fail(findings.origin("no_auth_user"), Reason::NoAuthUser(user.clone()));
    }
}

fn validate_accounts(options: &Options, findings: &mut Findings) {
    let system = &options.system_account;
    match options.accounts.get(system) {
        Some(account) if account.jetstream.is_some() => {
            let why = "jetstream cannot be enabled on the system account";
            findings.fail(findings.origin("accounts"), Reason::Conflict(why));
        }
        None if system != super::DEFAULT_SYSTEM_ACCOUNT => {
            let at = findings.origin("system_account");
            findings.fail(at, Reason::SystemAccount(system.clone()));
        }
        _ => {}
    }
}

fn validate_cluster(options: &Options, findings: &mut Findings) {
    let cluster = &options.cluster;
    if !options.is_clustered() {
        if !cluster.routes.is_empty() {
            let reason = Reason::Required { context: "cluster.routes", option: "cluster.listen" };
            findings.fail(findings.origin("cluster.routes"), reason);
        }
        return;
    }
    if options.jetstream.is_some() {
        let missing = [
            (options.server_name.is_none(), "server_name"),
            (cluster.name.is_none(), "cluster.name"),
        ];
        for (_, option) in missing.into_iter().filter(|(missing, _)| *missing) {
            // The wording is NATS's: people search for it.
            let reason = Reason::Required { context: "jetstream cluster", option };
            findings.fail(findings.origin("cluster"), reason);
        }
    }
    match (&cluster.tls, &cluster.authorization) {
        (Some(_), _) => {}
        (None, Some(_)) => findings.warn(findings.origin("cluster"), Remark::UnverifiedRoutes),
        (None, None) => findings.warn(findings.origin("cluster"), Remark::OpenRoutes),
    }
}

impl Options {
    /// Whether an acknowledgement promises stable storage on a quorum.
    pub fn acknowledges_stable(&self) -> bool {
        self.jetstream.as_ref().is_none_or(|jetstream| jetstream.sync == SyncPolicy::Always)
    }
}
