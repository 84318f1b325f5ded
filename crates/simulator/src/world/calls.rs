//! Requests to the leader of a group, wherever it is: of clients, of shards, and of servers that register.

use std::collections::BTreeMap;

use flotilla_host::{Answer, CallId, Input, Join, MILLISECOND, Request, SECOND};
use flotilla_raft::{GroupId, StoreId};

use super::event::Event;
use super::{Happening, World};

/// How long anybody waits for an answer.
const PATIENCE: u64 = 5 * SECOND;

/// Names a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallNumber(pub u64);

enum Caller {
    Client,
    Shard { store: StoreId, boot: u64, shard: usize, id: CallId },
    Registration { store: StoreId, boot: u64 },
}

struct Open {
    caller: Caller,
    at: StoreId,
    group: GroupId,
    /// Until it arrives.
    request: Option<Request>,
}

#[derive(Default)]
pub(super) struct Calls {
    open: BTreeMap<CallNumber, Open>,
    last: u64,
}

impl World {
    /// A client's request to a group, at the server `at`. The answer comes as [`Happening::Answer`].
    pub fn call(&mut self, at: StoreId, group: GroupId, request: Request) -> CallNumber {
        self.place(Caller::Client, at, group, request, true)
    }

    fn place(
        &mut self,
        caller: Caller,
        at: StoreId,
        group: GroupId,
        request: Request,
        reaches: bool,
    ) -> CallNumber {
        self.calls.last += 1;
        let number = CallNumber(self.calls.last);
        self.calls.open.insert(number, Open { caller, at, group, request: Some(request) });
        if reaches {
            let arrives = self.soon(50, 800);
            self.schedule(arrives, Event::CallArrives { to: at, number });
        }
        self.schedule(self.now + PATIENCE, Event::CallExpires { number });
        number
    }

    pub(super) fn call_of_shard(
        &mut self,
        store: StoreId,
        shard: usize,
        id: CallId,
        group: GroupId,
        request: Request,
    ) {
        let Some(boot) = self.servers.get(&store).map(|s| s.boot) else { return };
        let caller = Caller::Shard { store, boot, shard, id };
        let leader = self.leader(group);
        match leader.filter(|l| *l == store || self.gets_through(store, *l)) {
            Some(leader) => drop(self.place(caller, leader, group, request, true)),
            None => {
                let number = self.place(caller, store, group, request, false);
                self.schedule(
                    self.now + 50 * MILLISECOND,
                    Event::AnswerArrives { number, answer: None },
                );
            }
        }
    }

    pub(super) fn call_to_register(&mut self, store: StoreId, boot: u64, request: Request) {
        let leader = self.leader(GroupId::META);
        if let Some(leader) = leader.filter(|l| *l == store || self.gets_through(store, *l)) {
            let caller = Caller::Registration { store, boot };
            self.place(caller, leader, GroupId::META, request, true);
        }
    }

    pub(super) fn call_arrives(&mut self, to: StoreId, number: CallNumber) {
        let Some(open) = self.calls.open.get_mut(&number) else { return };
        let (group, Some(request)) = (open.group, open.request.take()) else { return };
        self.give(to, Input::Call { id: CallId(number.0), group, request });
    }

    /// A server answers a call.
    pub(super) fn answered(&mut self, store: StoreId, id: CallId, answer: Answer) {
        let number = CallNumber(id.0);
        let Some(open) = self.calls.open.get(&number).filter(|open| open.at == store) else {
            return;
        };
        let back = match open.caller {
            Caller::Client => true,
            Caller::Shard { store: to, .. } | Caller::Registration { store: to, .. } => {
                to == store || self.gets_through(store, to)
            }
        };
        if back {
            let at = self.soon(50, 800);
            self.schedule(at, Event::AnswerArrives { number, answer: Some(Box::new(answer)) });
        }
    }

    pub(super) fn answer_arrives(&mut self, number: CallNumber, answer: Option<Answer>) {
        let Some(open) = self.calls.open.remove(&number) else { return };
        match open.caller {
            Caller::Client => self.tell(Happening::Answer(number, answer)),
            Caller::Shard { store, boot, shard, id } => {
                let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else {
                    return;
                };
                let Some(running) = &mut server.running else { return };
                running.inputs[shard].push(Input::Answered(id, answer));
                self.wake(store, vec![shard]);
            }
            Caller::Registration { store, boot } => self.registered(store, boot, answer),
        }
    }

    fn registered(&mut self, store: StoreId, boot: u64, answer: Option<Answer>) {
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let Some(Answer::Registered { cluster, replica, founding }) = answer else { return };
        self.founded = true;
        if let Some(running) = &mut server.running {
            running.registered = true;
            let woken = running.give(Input::Join(Join { cluster, replica, founding }));
            self.wake(store, woken);
        }
    }
}
