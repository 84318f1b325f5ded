//! What a client's operations do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use flotilla_proto::{
    ClientOp, Connect, ErrorReply, Info, Parser, ProtocolError, Publish, encoder,
};
use flotilla_subject::is_literal;
use tokio::time::Instant;

use super::connection::Connection;
use super::ping::{Due, Pings};
use super::service::{Service, Settings};
use crate::account::Account;
use crate::router::client::{Client, SubscribeError};
use crate::router::{Batch, CloseReason, Message, Origin};

/// The state of one connection that only its reader touches.
pub(super) struct Session {
    service: Arc<Service>,
    settings: Arc<Settings>,
    settings_version: u64,
    connection: Arc<Connection>,
    parser: Parser,
    connect: Connect,
    is_connected: bool,
    /// The account the client is in; `None` until it has shown who it is.
    account: Option<Arc<Account>>,
    auth_deadline: Instant,
    pings: Pings,
    /// The client's first `PING` was answered.
    is_acquainted: bool,
    in_messages: u64,
    in_bytes: u64,
}

impl Session {
    /// Begins the conversation: queues `INFO`.
    pub(super) fn new(service: Arc<Service>, connection: Arc<Connection>, now: Instant) -> Self {
        // The version first: a change in between is seen as one.
        let settings_version = service.settings_version();
        let settings = service.settings();
        let options = &settings.options;
        let admission = settings.authenticator.without_credentials();
        let account = admission.map(|admission| service.router.account(&admission.account));
        connection.note_identity(&Connect::default(), admission);
        let session = Self {
            parser: Parser::new(options.limits()),
            connect: Connect::default(),
            is_connected: false,
            account,
            auth_deadline: now + options.auth_timeout,
            pings: Pings::new(options.ping_interval, options.ping_max, now),
            is_acquainted: false,
            in_messages: 0,
            in_bytes: 0,
            connection,
            settings,
            settings_version,
            service,
        };
        let info = session.connection.info_of(&session.service.info());
        session.answer(|out| put_info(out, &info));
        session
    }

    /// Applies every whole operation in `buffer`. Answers whether this client should pause, because others cannot
    /// keep up with it.
    pub(super) fn process(
        &mut self,
        buffer: &mut BytesMut,
        now: Instant,
    ) -> Result<bool, CloseReason> {
        self.refresh(now)?;
        self.pings.note_input(now);
        self.connection.note_input(now.into_std());
        let router = self.service.router.clone();
        let mut batch = router.batch_of(self.client().id());
        let outcome = self.process_all(buffer, now, &mut batch);
        batch.flush();
        self.count_input();
        outcome.map(|()| batch.is_crowded() && !self.settings.options.no_fast_producer_stall)
    }

    /// Looks whether the settings changed, and whether this client may still be here if they did.
    pub(super) fn refresh(&mut self, now: Instant) -> Result<(), CloseReason> {
        let version = self.service.settings_version();
        if version == self.settings_version {
            return Ok(());
        }
        self.settings_version = version;
        self.settings = self.service.settings();
        let options = &self.settings.options;
        self.parser.set_limits(options.limits());
        self.pings.change(options.ping_interval, options.ping_max, now);
        let authenticator = &self.settings.authenticator;
        let admission = match self.is_connected {
            true => authenticator.admit(&self.connect),
            false => authenticator.without_credentials().cloned(),
        };
        let is_still = |account: &Arc<Account>| {
            admission.is_some_and(|admission| admission.account == account.name())
        };
        match &self.account {
            Some(account) if !is_still(account) => {
                self.farewell(&ErrorReply::AuthorizationViolation)
            }
            _ => Ok(()),
        }
    }

    /// How many bytes are missing to the next whole operation, of which `buffered` are there.
    pub(super) fn missing(&self, buffered: usize) -> usize {
        self.parser.missing(buffered)
    }

    /// When [`on_time`](Self::on_time) is to be called next.
    pub(super) fn deadline(&self) -> Instant {
        match self.account {
            Some(_) => self.pings.deadline(),
            None => self.auth_deadline,
        }
    }

    /// Does what is due at `now`.
    pub(super) fn on_time(&mut self, now: Instant) -> Result<(), CloseReason> {
        if self.account.is_none() {
            if now < self.auth_deadline {
                return Ok(());
            }
            return self.farewell(&ErrorReply::AuthenticationTimeout);
        }
        match self.pings.due(now) {
            Due::Nothing => {}
            Due::Ping => self.answer(encoder::put_ping),
            Due::Stale => {
                self.service.router.traffic().count_stale_connection();
                return self.farewell(&ErrorReply::StaleConnection);
            }
        }
        Ok(())
    }

    fn client(&self) -> &Arc<Client> {
        &self.connection.client
    }

    /// Sends something outside of a batch.
    fn answer(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.service.router.batch().write(self.client(), write);
    }

    fn farewell(&self, reply: &ErrorReply) -> Result<(), CloseReason> {
        self.answer(|out| encoder::put_error(out, reply));
        Err(CloseReason::of_reply(reply))
    }

    fn count_input(&mut self) {
        let (messages, bytes) =
            (std::mem::take(&mut self.in_messages), std::mem::take(&mut self.in_bytes));
        self.service.router.traffic().count_in(messages, bytes);
        self.connection.in_messages.fetch_add(messages, Ordering::Relaxed);
        self.connection.in_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn process_all(
        &mut self,
        buffer: &mut BytesMut,
        now: Instant,
        batch: &mut Batch<'_>,
    ) -> Result<(), CloseReason> {
        // Counted once per batch: all connections of an account share that counter.
        let mut account = self.account.clone();
        loop {
            match self.parser.next(buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(ClientOp::Connect(json))) => {
                    self.connect(&json, batch)?;
                    account.clone_from(&self.account);
                }
                Ok(Some(op)) => match &account {
                    Some(account) => self.apply(op, account, now, batch)?,
                    None => return self.refuse(&ErrorReply::AuthorizationViolation, batch),
                },
                Err(error) => self.violation(&error, batch)?,
            }
        }
    }

    fn apply(
        &mut self,
        op: ClientOp,
        account: &Arc<Account>,
        now: Instant,
        batch: &mut Batch<'_>,
    ) -> Result<(), CloseReason> {
        match op {
            ClientOp::Publish(message) => return self.publish(&message, account, batch),
            ClientOp::Subscribe { subject, queue, sid } => {
                let (max, queue) = (self.settings.options.max_subscriptions, queue.as_deref());
                match self.client().subscribe(account, (&subject, queue, sid), max) {
                    Ok(()) => self.confirm(batch),
                    Err(SubscribeError::Subject(_)) => {
                        return self.refuse(&ErrorReply::InvalidSubject, batch);
                    }
                    Err(SubscribeError::TooMany(_)) => {
                        return self.refuse(&ErrorReply::MaximumSubscriptions, batch);
                    }
                }
            }
            ClientOp::Unsubscribe { sid, max } => {
                self.client().unsubscribe(&sid, max);
                self.confirm(batch);
            }
            ClientOp::Ping => self.pong(account, batch),
            ClientOp::Pong => {
                self.pings.note_pong(now);
                self.connection.note_round_trip(self.pings.round_trip());
            }
            ClientOp::Connect(_) | ClientOp::Info | ClientOp::Ok => {}
        }
        Ok(())
    }

    fn publish(
        &mut self,
        message: &Publish,
        account: &Arc<Account>,
        batch: &mut Batch<'_>,
    ) -> Result<(), CloseReason> {
        if message.headers.is_some() && !self.connect.headers {
            // The reference server closes without a word.
            return Err(CloseReason::ProtocolViolation);
        }
        self.in_messages += 1;
        self.in_bytes += message.size() as u64;
        let (subject, reply) = (message.subject(), message.reply());
        if self.connect.pedantic && !is_literal(subject) {
            // A complaint only: the message goes its way.
            self.refuse(&ErrorReply::InvalidPublishSubject, batch)?;
        }
        self.confirm(batch);
        let reached = batch.publish(&Message {
            account,
            subject,
            shown: None,
            reply,
            headers: message.headers.as_ref(),
            payload: &message.payload,
            origin: Origin::Client { connection: self.client().id(), echo: self.connect.echo },
        });
        if let Some(reply) = reply.filter(|_| !reached && self.connect.no_responders) {
            batch.no_responders(self.client(), account, subject, reply);
        }
        Ok(())
    }

    fn connect(&mut self, json: &[u8], batch: &mut Batch<'_>) -> Result<(), CloseReason> {
        // The reference server closes without a word if it cannot read who the client is.
        let connect = Connect::from_json(json).map_err(|_| CloseReason::ProtocolViolation)?;
        if let Err(reply) = connect.check() {
            return self.refuse(&reply, batch);
        }
        let admission = self.settings.authenticator.admit(&connect);
        self.connection.note_identity(&connect, admission.as_ref());
        let Some(admission) = admission else {
            return self.refuse(&ErrorReply::AuthorizationViolation, batch);
        };
        if self.is_connected {
            // Whoever the client was before, the subscriptions were that user's.
            self.client().unsubscribe_all();
        }
        self.account = Some(self.service.router.account(&admission.account));
        self.client().set_takes_headers(connect.headers);
        self.connect = connect;
        if !std::mem::replace(&mut self.is_connected, true)
            && let Some(observer) = self.service.observer.get()
        {
            observer.connected(&self.connection.snapshot());
        }
        self.confirm(batch);
        Ok(())
    }

    /// Answers a `PING`; the first one also with an `INFO` that says where the client is.
    fn pong(&mut self, account: &Account, batch: &mut Batch<'_>) {
        batch.write(self.client(), encoder::put_pong);
        if self.is_acquainted || !self.is_connected {
            return;
        }
        self.is_acquainted = true;
        if self.connect.protocol >= 1 {
            // Before the list is read: what changes after that is sent on its own.
            self.connection.accept_info();
            let info = Info {
                connect_info: true,
                remote_account: account.name().to_owned(),
                account_is_system: account.name() == self.settings.options.system_account,
                ..self.connection.info_of(&self.service.info())
            };
            batch.write(self.client(), |out| put_info(out, &info));
        }
    }

    fn confirm(&self, batch: &mut Batch<'_>) {
        if self.connect.verbose {
            batch.write(self.client(), encoder::put_ok);
        }
    }

    /// Tells the client what is wrong. `Err`: and closes.
    fn refuse(&self, reply: &ErrorReply, batch: &mut Batch<'_>) -> Result<(), CloseReason> {
        batch.write(self.client(), |out| encoder::put_error(out, reply));
        if reply.closes() { Err(CloseReason::of_reply(reply)) } else { Ok(()) }
    }

    fn violation(&self, error: &ProtocolError, batch: &mut Batch<'_>) -> Result<(), CloseReason> {
        let is_too_long = matches!(error, ProtocolError::ControlLineTooLong { .. });
        if self.account.is_none() && !is_too_long {
            return self.refuse(&ErrorReply::AuthorizationViolation, batch);
        }
        match error.reply() {
            Some(reply) => self.refuse(&reply, batch)?,
            None => return Err(CloseReason::of_violation(error)),
        }
        Ok(())
    }
}

fn put_info(out: &mut Vec<u8>, info: &Info) {
    let start = out.len();
    if encoder::put_info(out, info).is_err() {
        // To write JSON into memory cannot fail; should it, half a line must not stay.
        out.truncate(start);
    }
}
