//! What a consumer's leader wants done: proposals, deliveries, statuses and answers.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_jsapi::ack::AckSubject;
use flotilla_stream::{ConsumerEffect, ConsumerInput, PlannedSend, Status};

use super::ConsumerMachine;
use crate::replica::Replica;
use crate::stream::StreamMachine;
use crate::turn::{Cx, Publish};

impl ConsumerMachine {
    pub(super) fn status(&self, status: &Status, cx: &mut Cx) {
        let to = Bytes::copy_from_slice(status.reply.as_bytes());
        let answer = Publish::answer(self.account.clone(), to, Bytes::new());
        cx.out.publishes.push(Publish { headers: status.header_block().into(), ..answer });
    }

    fn send(&self, send: &PlannedSend, to: Bytes, stream: &mut StreamMachine, cx: &mut Cx) {
        let Some(record) = stream.read_record(send.delivery.stream_seq, cx) else { return };
        let (subject, mut headers, mut payload) = record.into_parts();
        if send.headers_only {
            headers = with_size(&headers, payload.len());
            payload = Bytes::new();
        }
        let mut reply = Vec::with_capacity(96);
        AckSubject {
            domain: None,
            account: None,
            stream: &self.stream_name,
            consumer: &self.consumer.config().name,
            delivered: send.delivery.deliveries,
            stream_sequence: send.delivery.stream_seq,
            consumer_sequence: send.delivery.consumer_seq,
            timestamp: send.time,
            pending: send.pending,
        }
        .write(&mut reply);
        cx.out.publishes.push(Publish {
            account: self.account.clone(),
            to,
            subject: Some(subject),
            reply: Some(reply.into()),
            headers,
            payload,
        });
    }
}

/// Where deliveries go, most of them to the same request as the one before.
#[derive(Default)]
struct Addressee(Option<(Arc<str>, Bytes)>);

impl Addressee {
    fn of(&mut self, reply: &Arc<str>) -> Bytes {
        match &self.0 {
            Some((last, to)) if Arc::ptr_eq(last, reply) => to.clone(),
            _ => {
                let to = Bytes::copy_from_slice(reply.as_bytes());
                self.0 = Some((Arc::clone(reply), to.clone()));
                to
            }
        }
    }
}

/// The headers with the size of the payload that stays away.
fn with_size(headers: &Bytes, size: usize) -> Bytes {
    let body = headers.strip_suffix(b"\r\n").unwrap_or(b"NATS/1.0\r\n");
    [body, format!("Nats-Msg-Size: {size}\r\n\r\n").as_bytes()].concat().into()
}

impl Replica<ConsumerMachine> {
    pub(super) fn carry_out_effects(
        &mut self,
        effects: &mut Vec<ConsumerEffect>,
        stream: &mut StreamMachine,
        cx: &mut Cx,
    ) -> bool {
        let mut proposed = false;
        let mut refused = false;
        let mut addressee = Addressee::default();
        for effect in effects.drain(..) {
            match effect {
                ConsumerEffect::Propose(data) => {
                    self.wake();
                    match self.raft.propose(data) {
                        Ok(_) => proposed = true,
                        Err(_) => refused = true,
                    }
                }
                ConsumerEffect::Send(send) => {
                    self.machine.send(&send, addressee.of(&send.reply), stream, cx);
                }
                ConsumerEffect::Status(status) => self.machine.status(&status, cx),
                ConsumerEffect::AnswerAck(reply) => {
                    let to = Bytes::copy_from_slice(reply.as_bytes());
                    let account = self.machine.account.clone();
                    cx.out.publishes.push(Publish::answer(account, to, Bytes::new()));
                }
                ConsumerEffect::Inactive => self.machine.inactive = true,
                // There is nobody to tell yet.
                ConsumerEffect::Advisory(_) => {}
            }
        }
        let now = self.machine.now(cx);
        if refused && let Some(leader) = &mut self.machine.leader {
            let state = &self.machine.consumer;
            leader.step(now, ConsumerInput::Lost, &stream.stream, state, effects);
        }
        proposed
    }
}
