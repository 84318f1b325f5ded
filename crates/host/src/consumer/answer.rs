//! What a consumer's leader answers.

use flotilla_stream::Leader;

use super::ConsumerMachine;
use crate::replica::Replica;
use crate::request::{Answer, Call, CallId, ConsumerAnswer, ConsumerRequest, Request};
use crate::stream::StreamMachine;
use crate::turn::Cx;

impl Replica<ConsumerMachine> {
    /// Takes a request.
    pub(crate) fn request(&mut self, id: CallId, request: &ConsumerRequest, cx: &mut Cx) {
        if !self.serves() {
            let election = self.raft.leader().is_none();
            let answer = match request {
                ConsumerRequest::Info if election => self.info(None, cx),
                _ => Answer::NotLeader,
            };
            cx.out.answers.push((id, answer));
            return;
        }
        match request {
            ConsumerRequest::StepDown { preferred } => {
                let answer = self.step_down(*preferred, cx);
                cx.out.answers.push((id, answer));
            }
            ConsumerRequest::Info | ConsumerRequest::Barrier => {
                self.read(Call { id, request: Request::Consumer(request.clone()) });
            }
        }
    }

    pub(super) fn info(&mut self, stream: Option<&StreamMachine>, cx: &Cx) -> Answer {
        let num_pending = match (&mut self.machine.leader, stream) {
            (Some(leader), Some(stream)) => leader.num_pending(&stream.stream),
            _ => 0,
        };
        let consumer = &self.machine.consumer;
        let position = |p: flotilla_stream::Position| (p.consumer_seq, p.stream_seq, p.last_active);
        let leader = self.machine.leader.as_deref();
        Answer::Consumer(Box::new(ConsumerAnswer {
            config: consumer.config().clone(),
            created: consumer.created(),
            delivered: position(consumer.delivered()),
            ack_floor: position(consumer.ack_floor()),
            num_ack_pending: consumer.num_ack_pending() as u64,
            num_redelivered: consumer.num_redelivered() as u64,
            num_waiting: leader.map_or(0, Leader::num_waiting) as u64,
            num_pending,
            cluster: self.cluster(self.machine.led_since, cx),
        }))
    }
}
